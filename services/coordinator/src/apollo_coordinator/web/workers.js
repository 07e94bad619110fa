// The workers, and what each is doing.

import { all, follow, patiently } from "./api.js";
import { make, showEach, table } from "./dom.js";
import { count, elapsed, short, status } from "./words.js";

const MOST = 5_000; // workers that are shown

export async function showWorkers({ main, signal, connected, title }) {
  title("Workers");
  const workers = new Map();
  let waiting = null; // changes that come while the list is on its way
  let loads = 0;
  const summary = make("p", { class: "note", role: "status" });
  const { whole, body } = table("Workers", ["Worker", "Status", "Attempt", ["Here for", "wide-only"], ["Sandbox", "wide-only"]]);
  main.replaceChildren(make("h1", {}, "Workers"), summary, whole);

  function render() {
    const shown = [...workers.values()];
    const tally = Object.entries(Object.groupBy(shown, (worker) => worker.status));
    summary.textContent = shown.length === 0 ? "No workers now. On Kubernetes they come with a job."
      : `${count(shown.length, "worker")}: ${tally.map(([word, some]) => `${some.length} ${word}`).join(", ")}`;
    showEach(body, shown, (worker) => worker.id, row);
  }

  function change(changes) {
    changes.workers.forEach((worker) => workers.set(worker.id, worker));
    changes.goneWorkers.forEach((id) => workers.delete(id));
  }

  async function load() {
    const mine = (loads += 1);
    const wanted = () => mine === loads;
    waiting = [];
    const found = await patiently(() => all("workers", { signal, most: MOST }), { signal, wanted, onLost: () => connected(false) });
    if (!wanted()) return;
    workers.clear();
    found.forEach((worker) => workers.set(worker.id, worker));
    waiting.forEach(change);
    waiting = null;
    render();
    connected(true);
  }

  await follow("events", {
    signal,
    onOpen: () => load().catch((error) => signal.aborted || console.warn(error.message)),
    onLost: () => connected(false),
    onEvent: ({ data }) => {
      if (waiting) waiting.push(data);
      else {
        change(data);
        render();
      }
    },
  });
}

function row(worker) {
  const name = worker.podName ?? worker.id;
  return make("tr", {},
    make("td", { class: "name" }, worker.attempt
      ? make("a", { class: "row", href: `#/attempts/${encodeURIComponent(worker.attempt)}` }, name) : name,
    make("div", { class: "note" }, worker.address)),
    make("td", {}, status(worker.status)),
    make("td", {}, worker.attempt ? short(worker.attempt) : ""),
    make("td", { class: "wide-only" }, elapsed(worker.joinedTime)),
    make("td", { class: "wide-only" }, worker.sandbox));
}
