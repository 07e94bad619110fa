// One attempt: where and how long it ran, how it ended, and what its program writes to standard error.

import { all, isFinal, patiently, rest, text } from "./api.js";
import { make, plain, section, show } from "./dom.js";
import { attemptLink } from "./job_parts.js";
import { elapsed, moment, prose, short, size, status } from "./words.js";

const SHOWN_CHARACTERS = 1_000_000; // of a log: its newest
const PAUSE_MS = 1000; // before a log that broke off is asked for again
const SAVING_MS = 60_000; // in which a browser takes a log that is saved
const AT_END_PX = 40; // who is as near to the end of a log sees what comes

export async function showAttempt({ main, signal, connected, title, leadsUpTo }, id) {
  const job = `#/jobs/${encodeURIComponent(id.split("-")[0])}`;
  const task = id.slice(0, id.lastIndexOf("-"));
  leadsUpTo(job);
  title(short(id));
  const details = make("div");
  const log = new Log(id);

  async function look() {
    const attempts = await all(`tasks/${encodeURIComponent(task)}/attempts`, { signal });
    const shown = attempts.find((attempt) => attempt.id === id);
    if (!shown) throw new Error(`There is no attempt ${id}.`);
    show(details, [shown, attempts], facts);
  }

  await look();
  main.replaceChildren(make("p", { class: "trail" }, make("a", { href: job }, "Job")), details,
    section("Standard error of its program", log.element));
  await log.read(signal, connected); // to the attempt's end
  await patiently(look, { signal, onLost: () => connected(false) });
  connected(true);
}

function facts([attempt, attempts]) {
  const others = attempts.filter((other) => other.id !== attempt.id);
  const { inputBytes, inputBytesTotal } = attempt;
  const read = inputBytesTotal ? `${size(inputBytes)} of ${size(inputBytesTotal)}` : inputBytes ? size(inputBytes) : "";
  const entries = [
    ["Worker", attempt.podName ?? attempt.worker],
    ["Started", moment(attempt.startTime)],
    ["Took", elapsed(attempt.startTime, attempt.endTime)],
    ["Read", read],
    ["Program says", attempt.programStatus],
    ["Kind", attempt.speculative && "backup attempt: another one of its task ran already"],
    ["Others of its task", others.length > 0 && others.map((other, place) =>
      [place ? ", " : "", make("a", { class: "row", href: attemptLink(other.id) }, `attempt ${other.number}`), ` (${other.status})`])],
  ].filter(([, value]) => value);
  return [
    make("div", { class: "head" }, make("h1", {}, short(attempt.id)), status(attempt.status)),
    make("dl", { class: "facts" }, entries.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, ...[value].flat(2))))),
    attempt.failure && make("p", { class: "notice bad", role: "status" }, prose(attempt.failure.message)),
  ];
}

class Log {
  constructor(attempt) {
    this.path = `attempts/${encodeURIComponent(attempt)}/logs`;
    this.name = `${attempt}.txt`;
    this.pre = make("pre", { class: "log", tabindex: 0, "aria-label": "Log" });
    this.said = make("p", { class: "note", role: "status" }, "Reading…");
    const save = make("button", { type: "button", class: "quiet" }, "Save all of it");
    save.addEventListener("click", () => this.save().catch((error) => this.say(error.message)));
    this.element = make("div", {}, this.pre, make("div", { class: "head" }, this.said, save));
    this.shown = 0; // characters
  }

  /** Shows what is there and what comes, until the attempt has ended. */
  async read(signal, connected) {
    let received = 0;
    while (!signal.aborted) {
      let skip = received; // a log is always told from its beginning
      try {
        for await (const piece of text(`${this.path}?follow`, { signal })) {
          connected(true);
          this.say("");
          const news = piece.slice(skip);
          skip = Math.max(0, skip - piece.length);
          received += news.length;
          this.append(news);
        }
        this.say(received ? "This is all." : "It wrote nothing.");
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (isFinal(error)) throw error;
        connected(false);
        await rest(PAUSE_MS, signal);
      }
    }
  }

  append(news) {
    const { pre } = this;
    const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < AT_END_PX;
    pre.append(plain(news));
    this.shown += news.length;
    while (this.shown > SHOWN_CHARACTERS && pre.firstChild !== pre.lastChild) {
      this.shown -= pre.firstChild.length;
      pre.firstChild.remove();
    }
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  }

  say(words) {
    if (this.said.textContent !== words) this.said.textContent = words;
  }

  async save() {
    const pieces = [];
    for await (const piece of text(this.path, {})) pieces.push(piece);
    const address = URL.createObjectURL(new Blob(pieces, { type: "text/plain" }));
    make("a", { href: address, download: this.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), SAVING_MS);
  }
}
