// The tasks of the page's thread, out of the browser's own trace.

/** With these the browser writes down tasks and what is done inside of them. */
const CATEGORIES = ["-*", "toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "v8"];

/**
 * Does something under a trace. Gives all events; the thread; and its tasks with `ts`, `dur`, and `tdur`, for which the thread
 * computed: that is the same on a busy machine. In microseconds. On a virtual machine a thread's clock may jump, and nothing
 * computes for longer than it takes: then `tdur` is `dur`.
 */
export async function traced(page, context, doing, more = []) {
  const session = await context.newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => {
    for (const event of value) events.push(event);
  });
  await session.send("Tracing.start", { transferMode: "ReportEvents", categories: [...CATEGORIES, ...more].join(",") });
  await doing();
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.end");
  await complete;
  await session.detach();
  const main = busiest(events);
  const isOurs = ({ pid, tid }) => pid === main.pid && tid === main.tid;
  const own = events.filter((event) => event.ph === "X" && event.dur > 0 && isOurs(event));
  for (const event of own) if (event.tdur > event.dur) event.tdur = event.dur;
  return { events, main, own, tasks: own.filter(({ name }) => name === "RunTask") };
}

/** The thread of the page is the busiest of its kind: others belong to spare processes. */
function busiest(events) {
  const threads = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const many = new Map();
  for (const { pid, tid } of events) many.set(`${pid} ${tid}`, (many.get(`${pid} ${tid}`) ?? 0) + 1);
  const weight = ({ pid, tid }) => many.get(`${pid} ${tid}`) ?? 0;
  return threads.reduce((best, one) => (weight(one) > weight(best) ? one : best));
}
