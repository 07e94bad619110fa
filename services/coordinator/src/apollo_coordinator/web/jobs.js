// The list of jobs, the newest first, as they come, go on and end.

import { follow, page, patiently } from "./api.js";
import { make, showEach, table } from "./dom.js";
import { bar, count, elapsed, moment, prose, status } from "./words.js";

const PAGE = 100;
const LONGEST_SEARCH = 255; // characters
const TYPING_MS = 200; // pause after which the filter is asked for
const STATUSES = ["queued", "running", "committing", "succeeded", "failed", "stopped"];

export async function showJobs({ main, signal, connected, title }) {
  title("Jobs");
  const jobs = new Map(); // by id; those that are shown
  let next = null; // path of the page after the last one that is shown
  let waiting = null; // changes that come while a list is on its way: it may be older than they are
  let loads = 0;
  let told = false; // of changes

  const search = make("input", { type: "search", placeholder: "Name, user, input, output", "aria-label": "Filter jobs", maxlength: LONGEST_SEARCH });
  const only = make("select", { "aria-label": "Status" }, make("option", { value: "" }, "any status"),
    STATUSES.map((word) => make("option", { value: word }, word)));
  const { whole, body } = table("Jobs", ["Job", "Status", "Progress", ["Started", "wide-only"], "Took", ["Output", "wide-only"]]);
  const empty = make("p", { class: "empty", role: "status", hidden: true });
  const more = make("button", { type: "button", hidden: true }, "Older jobs");
  main.replaceChildren(make("div", { class: "head" }, make("h1", {}, "Jobs"),
    make("search", { class: "filter" }, search, only)), whole, empty, more);

  function matches(job) {
    const texts = [job.id, job.name, job.user ?? "", job.outputLocation.location, ...[job.inputData.path].flat()];
    const wanted = search.value.trim().toLowerCase();
    return (!only.value || job.status === only.value) && texts.some((text) => text.toLowerCase().includes(wanted));
  }

  function render() {
    const shown = [...jobs.values()].sort((one, other) => other.createdTime - one.createdTime);
    showEach(body, shown, (job) => job.id, row);
    more.hidden = !next;
    empty.hidden = shown.length > 0;
    empty.replaceChildren(...prose(search.value || only.value
      ? "No job is like that." : "No jobs yet. `apollo submit` brings the first one."));
  }

  function change({ jobs: changed, goneJobs }) {
    const oldest = Math.min(...[...jobs.values()].map((job) => job.createdTime));
    for (const job of changed) {
      if (!matches(job)) jobs.delete(job.id);
      else if (jobs.has(job.id) || !next || job.createdTime >= oldest) jobs.set(job.id, job);
    }
    goneJobs.forEach((id) => jobs.delete(id));
  }

  /** Shows the list at the path, unless another one is asked for meanwhile. */
  async function load(path) {
    const mine = (loads += 1);
    const wanted = () => mine === loads;
    waiting ??= [];
    try {
      const found = await patiently(() => page(path, { signal }), { signal, wanted, onLost: () => connected(false) });
      if (!wanted()) return;
      connected(told);
      if (!path.includes("after=")) jobs.clear();
      found.items.forEach((job) => jobs.set(job.id, job));
      next = found.next;
    } catch (error) {
      if (wanted()) throw error;
    } finally {
      if (wanted()) {
        waiting.forEach(change);
        waiting = null;
        render();
      }
    }
  }

  const reload = () => {
    const query = new URLSearchParams({ order: "newest", limit: PAGE });
    if (search.value.trim()) query.set("search", search.value.trim());
    if (only.value) query.set("status", only.value);
    return load(`jobs?${query}`);
  };
  const refused = (error) => {
    if (signal.aborted) return;
    empty.hidden = false;
    empty.textContent = error.message;
  };
  const list = () => reload().catch(refused);

  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(list, TYPING_MS);
  });
  only.addEventListener("change", list);
  more.addEventListener("click", () => load(next).catch(list)); // the job that the page begins behind may be gone

  await follow("events", {
    signal,
    onOpen: () => {
      told = true;
      list();
    },
    onLost: () => {
      told = false;
      connected(false);
      if (!loads) list(); // perhaps nobody is told any more, and a list is still to be had
    },
    onEvent: ({ data }) => {
      if (waiting) waiting.push(data);
      else {
        change(data);
        render();
      }
    },
  });
}

function row(job) {
  const { maps, reduces } = job.progress;
  const done = maps.completed + reduces.completed;
  const total = maps.total + reduces.total;
  const notes = [job.name && job.id, job.user, job.trouble && `waits: ${job.trouble}`].filter(Boolean).join(" · ");
  return make("tr", {},
    make("td", { class: "name" }, make("a", { class: "row", href: `#/jobs/${encodeURIComponent(job.id)}` }, job.name || job.id),
      notes && make("div", { class: "note" }, notes)),
    make("td", {}, status(job.status)),
    make("td", { class: "share" }, total ? [
      bar(done / total, `Tasks of ${job.name || job.id}`, job.status),
      make("span", { class: "note figure" }, `${done} of ${count(total, "task")}`),
    ] : ""),
    make("td", { class: "wide-only" }, moment(job.startTime)),
    make("td", {}, elapsed(job.startTime, job.endTime)),
    make("td", { class: "wide-only path" }, job.outputLocation.location));
}
