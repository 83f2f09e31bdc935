// Pictures as inputs, in every form that a page has them. What raw pixels become is compared with numpy in
// `test/unit/image.test.mjs`; here the others are compared with raw pixels.

import { close, equal, ok, rejects, test } from "../harness/test.mjs";

const PAGES = { modes: ["isolated", "shared", "inline"] };
const [WIDTH, HEIGHT] = [9, 5];

const compile = async (t, images, options) => {
  const model = await t.inferry.compile(t.url("small/pictures.onnx"), { ...t.options, images, ...options });
  const { Tensor } = t.inferry;
  const others = () => ({ rows: new Tensor("float16", new Uint16Array(72), [1, 4, 6, 3]), gray: new Uint8Array(24) });
  const see = async (planes, options) => (await model.run({ planes, ...others() }, options)).planes_out;
  return { model, others, see };
};

/** A picture, opaque, every pixel another. */
function pixels(seed = 0) {
  const image = new ImageData(WIDTH, HEIGHT);
  for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) {
    image.data.set([pixel * 5, 255 - pixel * 3, (pixel * 37 + seed) % 256, 255], pixel * 4);
  }
  return image;
}

function canvas(image = pixels()) {
  const made = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  made.getContext("2d").putImageData(image, 0, 0);
  return made;
}

function offscreen(image = pixels()) {
  const made = new OffscreenCanvas(WIDTH, HEIGHT);
  made.getContext("2d").putImageData(image, 0, 0);
  return made;
}

const file = () => offscreen().convertToBlob();
const frame = () => new VideoFrame(offscreen(), { timestamp: 0 });

async function element() {
  const image = new Image();
  image.src = URL.createObjectURL(await file());
  await image.decode();
  return image;
}

test("a picture gives the same numbers in every form that needs no resizing", async (t) => {
  const { model, see } = await compile(t, { planes: {} });
  const { data, dims } = await see(pixels());
  equal([...dims], [1, 3, HEIGHT, WIDTH]);
  equal([data[1], data[WIDTH * HEIGHT + 1]], [5, 252]);
  for (const [name, make] of Object.entries({ canvas, offscreen, frame, file, element, bitmap: () => createImageBitmap(canvas()) })) {
    close((await see(await make())).data, data, { absolute: 0, relative: 0 }, name);
  }
  model.dispose();
}, PAGES);

test("a video gives the frame that it shows", async (t) => {
  const { model, see } = await compile(t, { planes: {} });
  const source = document.createElement("canvas");
  const context = source.getContext("2d");
  context.fillStyle = "rgb(200 100 50)";
  context.fillRect(0, 0, source.width, source.height);
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: source.captureStream() });
  await video.play();
  const { data, dims } = await see(video);
  equal([...dims], [1, 3, source.height, source.width]);
  const area = source.width * source.height;
  // A frame may go by way of another colour space.
  close([data[0], data[area], data[2 * area]], [200, 100, 50], { absolute: 6, relative: 0 });
  video.srcObject.getTracks().forEach((track) => track.stop());
  model.dispose();
}, PAGES);

test("what the browser resizes is near to what we resize", async (t) => {
  for (const options of [{ width: 6, height: 4 }, { width: 18, height: 10 }, { width: 16, height: 16, resize: "contain", pad: 114 }, { width: 4, height: 4, resize: "cover" }]) {
    const { model, see } = await compile(t, { planes: options });
    const flat = pixels();
    // Smooth, so that filters can only differ by little.
    for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) flat.data.set([(pixel % WIDTH) * 20, Math.floor(pixel / WIDTH) * 40, 77, 255], pixel * 4);
    const ours = await see(flat);
    const theirs = await see(canvas(flat));
    equal(theirs.dims, ours.dims);
    const away = ours.data.reduce((sum, value, index) => sum + Math.abs(value - theirs.data[index]), 0) / ours.size;
    ok(away <= 3, `${JSON.stringify(options)}: ${away} levels away on average`);
    if (options.pad) equal([theirs.data[0], ours.data[0]], [114, 114]);
    model.dispose();
  }
}, PAGES);

test("a part is drawn as it is cut out of raw pixels, beyond the edge too", async (t) => {
  const { model, see } = await compile(t, { planes: { pad: [9, 8, 7] } });
  const crop = { x: -2, y: 2, width: 6, height: 4 };
  const ours = await see({ image: pixels(), crop });
  equal([ours.data[0], ours.data[24], ours.data[48]], [9, 8, 7]);
  close((await see({ image: canvas(), crop })).data, ours.data, { absolute: 0, relative: 0 });
  model.dispose();
}, PAGES);

test("a picture is taken as it is when the run is asked for, and runs keep their order", async (t) => {
  const { model, see } = await compile(t, { planes: {} }, { slots: 1 });
  const source = canvas(pixels(1));
  const ended = [];
  const note = (number) => (tensor) => (ended.push(number), tensor);
  const first = see(source).then(note(1));
  source.getContext("2d").fillRect(0, 0, WIDTH, HEIGHT);
  const second = see(pixels(2)).then(note(2));
  const third = see(offscreen(pixels(3))).then(note(3));
  const blues = (await Promise.all([first, second, third])).map(({ data }) => data[2 * WIDTH * HEIGHT]);
  equal([blues, ended], [[1, 2, 3], [1, 2, 3]]);
  model.dispose();
}, PAGES);

test("bitmaps, frames and canvases stay the caller's unless they are transferred", async (t) => {
  const { model, see } = await compile(t, { planes: {} });
  const [bitmap, video, drawn] = [await createImageBitmap(canvas()), frame(), offscreen()];
  for (const image of [bitmap, video, drawn]) await see(image);
  equal([bitmap.width, video.format !== null, drawn.getContext("2d").getImageData(1, 0, 1, 1).data[0]], [WIDTH, true, 5]);
  const before = (await see(pixels())).data;
  for (const image of [bitmap, video, drawn]) close((await see(image, { transfer: true })).data, before, { absolute: 0, relative: 0 });
  equal([bitmap.width, video.format, drawn.getContext("2d").getImageData(1, 0, 1, 1).data[0]], [0, null, 0]);
  model.dispose();
}, PAGES);

test("a picture that cannot be read is refused, and the worker goes on", async (t) => {
  const { model, see } = await compile(t, { planes: {} });
  const [bitmap, video] = [await createImageBitmap(canvas()), frame()];
  bitmap.close();
  video.close();
  await rejects(see(bitmap), "invalid-input");
  await rejects(see(video), "in-use");
  await rejects(see(new Blob(["no picture"])), "invalid-input");
  await rejects(see({ image: canvas(), crop: { x: 0, y: 0, width: -1, height: 2 } }), "invalid-input");
  equal([...(await see(canvas())).dims], [1, 3, HEIGHT, WIDTH]);
  model.dispose();
}, PAGES);

test("a run that is stopped while its picture is copied never begins", async (t) => {
  const { model, see, others } = await compile(t, { planes: {} });
  const stop = new AbortController();
  const run = see(canvas(), { signal: stop.signal });
  stop.abort("enough");
  equal((await rejects(run, "cancelled")).cause, "enough");

  const request = model.createInferRequest();
  for (const [name, feed] of Object.entries(others())) request.setTensor(name, feed);
  request.setTensor("planes", canvas());
  const started = request.startAsync();
  equal(request.status, "queued");
  await rejects(request.startAsync(), "busy");
  ok(request.cancel());
  await rejects(started, "cancelled");
  equal([...(await request.startAsync()).planes_out.dims], [1, 3, HEIGHT, WIDTH]);
  const last = request.startAsync();
  request.dispose();
  await rejects(last, "disposed");
  model.dispose();
}, PAGES);

test("frames go through a transform and come out as results, in order", async (t) => {
  const { model, others } = await compile(t, { planes: {} });
  const source = new ReadableStream({
    start(controller) {
      for (const seed of [1, 2, 3, 4]) controller.enqueue({ planes: new VideoFrame(offscreen(pixels(seed)), { timestamp: seed }), ...others() });
      controller.close();
    },
  });
  const seen = [];
  const reader = source.pipeThrough(model.transform({ slots: 2, transfer: true })).getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) seen.push(step.value.planes_out.data[2 * WIDTH * HEIGHT]);
  equal(seen, [1, 2, 3, 4]);
  model.dispose();
}, PAGES);

test("here pictures are pixels", async (t) => {
  const { model, see } = await compile(t, { planes: {} });
  const image = { data: new Uint8ClampedArray([1, 2, 3, 255]), width: 1, height: 1 };
  equal([...(await see(image)).data], [1, 2, 3]);
  await rejects(see(new Blob(["a picture"])), "unsupported");
  model.dispose();
}, { modes: ["node"] });
