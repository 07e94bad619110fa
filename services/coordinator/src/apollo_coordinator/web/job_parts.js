// The parts of a job's page, each made of what the API answers.

import { call } from "./api.js";
import { confirmed, make, section, table } from "./dom.js";
import { bar, count, duration, elapsed, moment, number, prose, short, size, status } from "./words.js";

const ENDED = ["succeeded", "failed", "stopped"];
const LONG = 28; // characters; what is longer gets a line of its own
const STEP_WORDS = {
  start: "starting and ending", search: "looking for bad records", read: "waiting for input", merge: "merging", send: "feeding the program", program: "the program",
  receive: "taking its output", sort: "sorting", write: "writing", commit: "committing",
};

export function head(job) {
  const facts = [
    ["Job", job.id],
    ["User", job.user],
    ["Redrive of", job.redriveOf && make("a", { href: `#/jobs/${encodeURIComponent(job.redriveOf)}` }, job.redriveOf)],
    ["Started", moment(job.startTime)],
    ["Took", elapsed(job.startTime, job.endTime)],
    ["Mapper", job.inputs ? [...new Set(job.inputs.map((input) => input.mapper))].join(", ") : job.mapper.name],
    ["Combiner", job.combiner?.name],
    ["Reducer", job.reducer && `${job.reducer.name} × ${job.nReducers}`],
    ["Input", [job.inputData.path].flat().join(", ")],
    ["Output", job.outputLocation.location],
  ].filter(([, value]) => value).sort(([, one], [, other]) => isLong(one) - isLong(other));
  return [
    make("div", { class: "head" }, make("h1", {}, job.name || job.id), status(job.status),
      !ENDED.includes(job.status) && stopButton(job)),
    make("dl", { class: "facts" }, facts.map(([name, value]) =>
      make("div", { class: isLong(value) && "long" }, make("dt", {}, name), make("dd", {}, value)))),
  ];
}

function isLong(value) {
  return value.length > LONG;
}

function stopButton(job) {
  const button = make("button", { type: "button", class: "danger quiet", "data-name": "stop" }, "Stop");
  button.addEventListener("click", async () => {
    const name = job.name || job.id;
    if (!(await confirmed(`Stop ${name}?`, "What it has done so far is lost; its output stays as it was.", "Stop it"))) return;
    button.disabled = true;
    try {
      await call(`jobs/${encodeURIComponent(job.id)}`, { method: "DELETE" });
    } catch (error) {
      button.disabled = false;
      button.after(make("span", { class: "notice bad", role: "alert" }, error.message));
    }
  });
  return button;
}

export function notices([trouble, failure]) {
  return [
    trouble && make("p", { class: "notice warn", role: "status" }, make("strong", {}, "The job waits. "), trouble),
    failure && make("p", { class: "notice bad", role: "status" }, make("strong", {}, "The job failed. "), prose(failure.message),
      failure.attempt && [" ", make("a", { href: attemptLink(failure.attempt) }, "Look at the attempt")]),
  ].filter(Boolean);
}

export function phases([state, nReducers, maps, reduces, told]) {
  const shares = { maps: told?.maps?.fraction, reduces: told?.reduces?.fraction };
  const rows = [phase("Map", told?.maps ?? maps, shares.maps, state)];
  if (nReducers > 0) rows.push(phase("Reduce", told?.reduces ?? reduces, shares.reduces, state));
  const commit = { committing: "publishing the output", succeeded: "done" }[state] ?? "";
  rows.push([make("span", { class: "name" }, "Commit"), bar(state === "succeeded" ? 1 : 0, "Commit", state),
    make("span", { class: "figure" }, commit)]);
  return rows.map((cells) => make("div", { class: "phase" }, cells));
}

function phase(name, { total, completed, running }, fraction, state) {
  const share = fraction ?? (total ? completed / total : 0);
  const words = total ? [`${number(completed)} of ${count(total, "task")}`, running && `${number(running)} running`] : ["not planned yet"];
  return [make("span", { class: "name" }, name), bar(share, name, state), make("span", { class: "figure" }, words.filter(Boolean).join(", "))];
}

export function explanation(why) {
  if (!why?.lines?.length) return [];
  return section("What held it up", make("ol", { class: "why" }, why.lines.map((line) =>
    make("li", {}, prose(line.text), line.fix && make("div", { class: "note" }, prose(line.fix))))));
}

export function causes(found) {
  if (!found.length) return [];
  return section("Failures", [...found].sort((one, other) => other.attempts - one.attempts).map(cause));
}

function cause(failure) {
  const { attempts, tasks, workers, firstRecord, lines } = failure;
  const times = attempts === 1 ? "1 attempt" : `${number(attempts)} attempts of ${count(tasks, "task")} on ${count(workers, "worker")}`;
  return make("article", { class: "cause" },
    make("h3", {}, prose(failure.message)),
    make("p", { class: "note" }, `${times}, first `, make("a", { class: "row", href: attemptLink(failure.firstAttempt) }, short(failure.firstAttempt)),
      " at ", moment(failure.firstTime), ` · ${failure.reason} · ${failure.fingerprint}`),
    lines.length > 0 && make("pre", { class: "lines" }, lines.join("\n")),
    firstRecord && make("p", { class: "note" }, place(firstRecord)),
    firstRecord?.preview !== undefined && make("pre", { class: "lines" }, firstRecord.preview));
}

/** Of a record that was found, or else of the split that has it. */
function place({ input, offset, preview }) {
  const path = make("span", { class: "path" }, input);
  return preview === undefined ? [`Its split begins at byte ${number(offset)} of `, path] : [`First record: byte ${number(offset)} of `, path];
}

export function badRecords([job, records]) {
  if (!records?.length) return [];
  const { whole } = table("Bad records", [["#", "figure"], "Where", "Record", "Why"], records.map((record) => make("tr", {},
    make("td", { class: "figure" }, record.number),
    make("td", { class: "path" }, `byte ${number(record.offset)} of ${record.input}`),
    make("td", { class: "preview" }, record.preview),
    make("td", { class: "note reason", title: record.message }, why(record)))));
  const total = job.badRecords ?? records.length;
  const more = total > records.length ? `The first ${records.length} of ${number(total)}. ` : "";
  return section("Bad records", make("p", { class: "note" }, prose(`${more}\`apollo bad ${job.id}\` shows and saves them.`)), whole);
}

/** The last that the mapper said, as in `apollo bad`; of one that said nothing, how it ended. */
function why({ stderr, message }) {
  return stderr.trim().split("\n").at(-1).trim() || prose(message);
}

export function stragglers(slow) {
  if (!slow.length) return [];
  const { whole } = table("Slowest attempts", ["Attempt", ["Worker", "wide-only"], ["Took", "figure"], ["Usual", "figure"], "Status"], slow.map((attempt) => make("tr", {},
    make("td", { class: "name" }, make("a", { class: "row", href: attemptLink(attempt.id) }, short(attempt.id))),
    make("td", { class: "wide-only" }, attempt.worker),
    make("td", { class: "figure" }, elapsed(attempt.start, attempt.end)),
    make("td", { class: "figure" }, duration(attempt.median)),
    make("td", {}, status(attempt.status), attempt.backup && " backup attempt"))));
  return section("Far slower than usual", whole);
}

export function counterTables(counters) {
  return section("Counters", Object.entries(counters).map(([group, values]) =>
    make("table", { class: "figures", "aria-label": `Counters of ${group}` }, make("caption", {}, group),
      make("tbody", {}, Object.entries(values).map(([name, value]) => make("tr", {},
        make("th", { scope: "row" }, name.replaceAll("_", " ")),
        make("td", { class: "figure", title: number(value) }, name.endsWith("bytes") ? size(value) : number(value))))))));
}

export function timingBars(timings) {
  const phases = Object.entries(timings).filter(([, steps]) => Object.values(steps).some(Boolean));
  if (!phases.length) return [];
  return section("Where the time of attempts went", phases.map(([phase, steps]) => {
    const total = Object.values(steps).reduce((sum, ms) => sum + ms, 0);
    const rows = Object.entries(steps).filter(([, ms]) => ms > 0).sort(([, one], [, other]) => other - one);
    return make("table", { class: "figures", "aria-label": `Time of ${phase}s` }, make("caption", {}, `${phase}s`),
      make("tbody", {}, rows.map(([step, ms]) => make("tr", {}, make("th", { scope: "row" }, STEP_WORDS[step] ?? step),
        make("td", { class: "share" }, bar(ms / total, step)), make("td", { class: "figure" }, duration(ms))))));
  }));
}

export function attemptLink(attempt) {
  return `#/attempts/${encodeURIComponent(attempt)}`;
}
