/**
 * Sounds as files that players play: one channel, 16 bits a sample.
 */

/** The file. Samples are from -1 to 1; what is beyond is cut off. */
export function wav(samples: Float32Array, rate: number): Blob {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at: number, letters: string): void => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, rate * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, samples.length * 2, true);
  const body = Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
  return new Blob([header, body], { type: "audio/wav" });
}
