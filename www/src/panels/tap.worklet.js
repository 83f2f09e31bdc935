// Hands on what the microphone hears, 512 samples at a time: runs on the browser's thread for sound, and does nothing else.

class Tap extends AudioWorkletProcessor {
  #held = new Float32Array(512);
  #filled = 0;

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (const sample of samples) {
      this.#held[this.#filled++] = sample;
      if (this.#filled < this.#held.length) continue;
      this.port.postMessage(this.#held, [this.#held.buffer]);
      this.#held = new Float32Array(512);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("tap", Tap);
