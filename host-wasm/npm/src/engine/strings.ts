/**
 * Strings on their way through the engine's memory: for each its length in bytes as a word, and then its UTF-8.
 */

export function encodeStrings(strings: readonly string[]): Uint8Array {
  const encoder = new TextEncoder();
  const texts = strings.map((string) => encoder.encode(string));
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + 4);
    at += 4 + text.length;
  }
  return bytes;
}

export function decodeStrings(bytes: Uint8Array): string[] {
  const decoder = new TextDecoder();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + view.getUint32(at, true);
    strings.push(decoder.decode(bytes.subarray(at + 4, end)));
    at = end;
  }
  return strings;
}
