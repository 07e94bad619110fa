// A job's events folded into its attempts. No document, no network.

export const MOST_ATTEMPTS = 200_000; // that a page keeps
const ENDS = { "attempt-accepted": "succeeded", "attempt-failed": "failed", "attempt-lost": "lost", "attempt-cancelled": "cancelled" };
const KINDS = { s: "sampler", m: "map", r: "reduce" };

export class Story {
  attempts = new Map(); // by id, in the order of their starts
  progress = null; // as last told
  planned = null; // when the job's tasks were known
  committing = null; // when its output began to be published
  ended = null;
  untold = 0; // attempts beyond the bound

  tell(event) {
    const { kind, time, attempt: id } = event;
    const attempt = this.attempts.get(id);
    if (kind === "attempt-started") this.begin(event);
    else if (kind === "attempt-reattached" && attempt) attempt.worker = known(event.worker);
    else if (kind in ENDS && attempt) Object.assign(attempt, { status: ENDS[kind], end: time, failure: event.failure });
    else if (kind === "map-output-lost" && attempt) attempt.outputLost = true;
    else if (kind === "maps-planned") this.planned = time;
    else if (kind === "commit-started") this.committing = time;
    else if (kind === "progress") this.progress = event;
    else if (kind === "job-ended") this.end(time);
  }

  begin({ attempt: id, task, worker, speculative, time }) {
    if (this.attempts.size >= MOST_ATTEMPTS) {
      this.untold += 1;
      return;
    }
    const [, letter] = task.split("-");
    this.attempts.set(id, {
      id, task, kind: KINDS[letter] ?? letter, worker: known(worker), backup: Boolean(speculative),
      start: time, end: null, status: "running",
    });
  }

  end(time) {
    this.ended = time;
    this.progress = null;
    for (const attempt of this.attempts.values()) {
      if (attempt.end === null) Object.assign(attempt, { status: "cancelled", end: time });
    }
  }

  /** Half of the accepted attempts of each kind took no longer: ms by kind. */
  medians() {
    const took = {};
    for (const { kind, status, start, end } of this.attempts.values()) {
      if (status === "succeeded") (took[kind] ??= []).push(end - start);
    }
    return Object.fromEntries(Object.entries(took).map(([kind, times]) => [kind, median(times)]));
  }

  /** Attempts that took, or have taken by `now`, far longer than their kind's median; the slowest first. */
  stragglers(now, { most = 10, times = 3, atLeastMs = 2000 } = {}) {
    const medians = this.medians();
    return [...this.attempts.values()]
      .map((attempt) => ({ ...attempt, took: (attempt.end ?? now) - attempt.start, median: medians[attempt.kind] }))
      .filter(({ took, median: usual }) => usual !== undefined && took >= times * usual && took - usual >= atLeastMs)
      .sort((one, other) => other.took - one.took)
      .slice(0, most);
  }
}

/** A worker's name over all its connections. */
function known(worker) {
  return worker.split("~")[0];
}

function median(times) {
  times.sort((one, other) => one - other);
  return times[Math.floor(times.length / 2)];
}
