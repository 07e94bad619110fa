// One job: how far it is, its attempts over time, what went wrong, what held it up, its counters and tasks.

import { call, follow, isFinal, rest } from "./api.js";
import { make, section, show } from "./dom.js";
import { badRecords, causes, counterTables, explanation, head, notices, phases, stragglers, timingBars } from "./job_parts.js";
import { Story } from "./story.js";
import { tasksOf } from "./tasks.js";
import { Timeline } from "./timeline.js";
import { now } from "./words.js";

const REFRESH_MS = 1000; // at least, between looks at what the events do not tell
const EXPLAIN_MS = 5000; // the same, of what takes the coordinator a look at every task
const PAINT_MS = 250; // at least, between paintings of the timeline
const MOST_BAD_RECORDS = 10; // that are shown

export async function showJob({ main, signal, connected, title }, id) {
  const path = `jobs/${encodeURIComponent(id)}`;
  let job = await call(path, { signal });
  const story = new Story();
  const timeline = new Timeline((attempt) => {
    location.hash = `#/attempts/${encodeURIComponent(attempt)}`;
  }, () => {
    const { maps, reduces } = job.progress;
    const waits = job.status === "queued" || (job.status === "running" && !maps.running && !maps.completed && !reduces.completed);
    return waits ? "No attempt has started yet." : story.ended === null ? "" : "No attempt was started.";
  });
  const names = ["head", "notices", "phases", "explanation", "failures", "bad", "slow", "timings", "counters"];
  const part = Object.fromEntries(names.map((name) => [name, make("div", { class: `part-${name}` })]));
  main.replaceChildren(part.head, part.notices, part.phases, part.failures, part.bad,
    section("Attempts over time", timeline.element), part.slow, part.explanation, make("div", { class: "columns" }, part.timings, part.counters),
    tasksOf(path, story, signal));

  function render() {
    title(`${job.name || job.id}: ${job.status}`);
    show(part.head, job, head);
    show(part.notices, [job.trouble, job.failure], notices);
    const { maps, reduces } = job.progress;
    show(part.phases, [job.status, job.nReducers, maps, reduces, story.progress], phases);
  }

  const ask = (what) => call(path + what, { signal });
  const refresh = paced(async () => {
    const [shown, counters, timings, failures, bad] = await Promise.all(
      ["", "/counters", "/timings", "/failures", `/bad-records?limit=${MOST_BAD_RECORDS}`].map(ask));
    job = shown;
    show(part.failures, failures, causes);
    show(part.bad, [job, bad], badRecords);
    show(part.counters, counters, counterTables);
    show(part.timings, timings, timingBars);
    render();
  }, REFRESH_MS, signal);

  const explain = paced(async () => show(part.explanation, await ask("/explanation"), explanation), EXPLAIN_MS, signal);

  const paint = paced(async () => {
    const slow = story.stragglers(now());
    timeline.draw(story, job.createdTime, new Set(slow.map((attempt) => attempt.id)));
    show(part.slow, slow.map((attempt) => ({ ...attempt, took: attempt.end && attempt.took })), stragglers);
  }, PAINT_MS, signal);

  render();
  watch(timeline.element, signal, paint, () => story.ended === null && story.attempts.size > 0);
  await follow(`${path}/events`, {
    signal,
    onOpen: () => connected(true),
    onLost: () => connected(false),
    onEvent: ({ data }) => {
      story.tell(data);
      if (data.kind === "progress") render();
      refresh();
      explain();
      paint();
    },
    isLast: ({ kind }) => kind === "job-ended",
  });
}

/** Asks for another painting when what is shown has another width or theme, and now and then while time goes on. */
function watch(element, signal, paint, goesOn) {
  let width = 0;
  const resized = new ResizeObserver(() => {
    if (element.clientWidth !== width) paint();
    width = element.clientWidth;
  });
  resized.observe(element);
  const theme = matchMedia("(prefers-color-scheme: dark)");
  theme.addEventListener("change", paint, { signal });
  const timer = setInterval(() => goesOn() && !document.hidden && paint(), 2 * PAINT_MS);
  signal.addEventListener("abort", () => {
    resized.disconnect();
    clearInterval(timer);
  });
}

/**
 * Does `work` whenever it is asked for, but no sooner than `ms` after the last time; asked for twice it is done once.
 * In vain it is done again, unless it was refused.
 */
function paced(work, ms, signal) {
  let asked = false;
  let busy = false;
  return async () => {
    asked = true;
    if (busy) return;
    busy = true;
    while (asked && !signal.aborted) {
      asked = false;
      try {
        await work();
      } catch (error) {
        asked ||= !isFinal(error);
        if (!signal.aborted) console.warn(error.message);
      }
      await rest(ms, signal);
    }
    busy = false;
  };
}
