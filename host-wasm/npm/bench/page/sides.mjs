// The two libraries behind one face: `open(side)` gives `{ create, memory }`, `create(address)` gives `{ run, close }`.
//
// `run` takes the feeds of `feeds.mjs` and gives outputs as an array. Whatever a library needs for a run is made inside of
// it, as its user would have to; nothing is made there that its user would make once.

/** Opens a library as a side says: what a page pays for it begins here. */
export function open(side) {
  return side.whose === "ours" ? ours(side) : theirs(side);
}

async function ours({ executor, workers, threads }) {
  const { createRuntime, compile, Tensor } = await import("/package/dist/index.js");
  const runtime = await createRuntime({ executor, ...(workers && { workers }), ...(threads && { threads }) });
  const create = async (address) => {
    const model = await compile(address, { runtime, cache: false });
    // Runs copy their inputs, so the tensors are made once.
    const known = new Map();
    const tensors = (feeds) => {
      if (!known.has(feeds)) known.set(feeds, feeds.map(({ type, dims, data }) => new Tensor(type, data, dims)));
      return known.get(feeds);
    };
    return {
      run: async (feeds, options) => Object.values(await model.run(tensors(feeds), options)),
      place: () => (model.onPage ? "page" : runtime.mode),
      close: () => model.dispose(),
    };
  };
  return { create, memory: () => runtime.memory(), workers: () => runtime.workers };
}

async function theirs({ threads, proxy }) {
  const memories = watchMemories();
  const ort = await import("/ort/ort.wasm.bundle.min.mjs");
  Object.assign(ort.env.wasm, { wasmPaths: "/ort/", numThreads: threads, proxy });
  ort.env.logLevel = "error";
  const create = async (address) => {
    const session = await ort.InferenceSession.create(address, { executionProviders: ["wasm"] });
    const tensors = (feeds) => {
      // The proxy moves the buffers of its inputs away, so that they must be made anew; the main thread's copies them.
      const made = feeds.map(({ type, dims, data }) => new ort.Tensor(type, proxy ? data.slice() : data, dims));
      return Object.fromEntries(made.map((tensor, index) => [session.inputNames[index], tensor]));
    };
    const known = new Map();
    const named = (feeds) => {
      if (proxy) return tensors(feeds);
      if (!known.has(feeds)) known.set(feeds, tensors(feeds));
      return known.get(feeds);
    };
    return {
      run: async (feeds) => {
        const outputs = await session.run(named(feeds));
        return session.outputNames.map((name) => outputs[name]);
      },
      close: () => session.release(),
    };
  };
  // The proxy's memory is in its worker, out of sight.
  return { create, memory: async () => (proxy ? NaN : memories()), workers: () => (proxy ? 1 : 0) };
}

/** Keeps every memory that is made from now on; gives a function that adds up their bytes. */
function watchMemories() {
  const made = new Set();
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor) {
      super(descriptor);
      made.add(this);
    }
  };
  const instantiated = ({ exports }) => {
    for (const item of Object.values(exports)) if (item instanceof Memory) made.add(item);
  };
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const instantiate = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const result = await instantiate.apply(WebAssembly, given);
      instantiated(result.instance ?? result);
      return result;
    };
  }
  return () => [...made].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}
