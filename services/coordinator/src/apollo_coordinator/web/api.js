// Calls of the coordinator: JSON, pages of lists, streams of events that are taken up again, text as it comes.

import { heardAt } from "./words.js";

const TOKEN = "apollo-token"; // of sessionStorage: this tab's alone, gone with it
const SILENCE_MS = 45_000; // three of the coordinator's pings
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 10_000;
const BASE = new URL("api/v1/", document.baseURI);

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The coordinator answered with status ${status}.`);
    this.status = status;
  }
}

/** The answer's JSON. Refused with what the problem document says; TypeError when nobody answers. */
export async function call(path, { method = "GET", signal } = {}) {
  return (await request(path, { method, signal })).json();
}

/** One page of a list, and the path of the next one where there is one. */
export async function page(path, { signal } = {}) {
  const answer = await request(path, { signal });
  const next = /<([^>]*)>; rel="next"/.exec(answer.headers.get("Link") ?? "");
  return { items: await answer.json(), next: next && new URL(next[1], BASE).href.slice(BASE.href.length) };
}

/** What `ask` gives, asked again while the coordinator is away and it is `wanted`; `onLost` hears of every try in vain. */
export async function patiently(ask, { signal, onLost, wanted = () => true }) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted || !wanted() || isFinal(error)) throw error;
    }
    onLost();
    await rest(pause * (0.5 + Math.random()), signal);
  }
}

/** Whether the same call would be refused again. */
export function isFinal(error) {
  return error instanceof Refused && error.status < 500;
}

/** A whole list, at most `most` items of it. */
export async function all(path, { signal, most = 10_000 } = {}) {
  const items = [];
  for (let next = path; next && items.length < most; ) {
    const found = await page(next, { signal });
    items.push(...found.items);
    next = found.next;
  }
  return items;
}

/**
 * Tells `onEvent` of every event, until one is the last: then it returns. A stream that breaks is taken up where it
 * broke, after `onLost`; `onOpen` says that there is a connection. It rests while nobody sees the page.
 */
export async function follow(path, { signal, onEvent, onOpen = () => {}, onLost = () => {}, isLast = () => false }) {
  let last = "";
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    await visible(signal);
    const silence = new AbortController();
    const stop = () => silence.abort();
    const hide = () => document.hidden && stop();
    signal.addEventListener("abort", stop);
    document.addEventListener("visibilitychange", hide);
    let watchdog = setTimeout(stop, SILENCE_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const answer = await request(path, { headers, signal: silence.signal });
      onOpen();
      pause = FIRST_PAUSE_MS;
      for await (const event of events(answer.body, () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE_MS);
      })) {
        last = event.id || last;
        onEvent(event);
        if (isLast(event)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (isFinal(error)) throw error;
    } finally {
      clearTimeout(watchdog);
      stop();
      signal.removeEventListener("abort", stop);
      document.removeEventListener("visibilitychange", hide);
    }
    if (signal.aborted) return;
    if (document.hidden) continue;
    onLost();
    await rest(pause * (0.5 + Math.random()), signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

/** The bytes of an answer as text, as they come. */
export async function* text(path, { signal }) {
  const answer = await request(path, { signal });
  yield* decoded(answer.body);
}

async function request(path, { method = "GET", headers = {}, signal } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const sent = token === null ? headers : { ...headers, Authorization: `Bearer ${token}` };
    const answer = await fetch(new URL(path, BASE), { method, headers: sent, signal, cache: "no-store" });
    heardAt(Date.parse(answer.headers.get("Date")) || NaN);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (answer.status !== 401) throw new Refused(answer.status, problem);
    if (token === sessionStorage.getItem(TOKEN)) await askForToken(token === null ? "" : problem.detail);
  }
}

let asking = null;

function askForToken(why) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const field = document.getElementById("token-field");
    document.getElementById("token-why").textContent = why || "This coordinator asks who calls.";
    field.value = "";
    dialog.oncancel = (event) => event.preventDefault();
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, field.value.trim());
      field.value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** Server-sent events out of a stream of bytes (WHATWG HTML, section 9.2). */
async function* events(body, onBytes) {
  let rest = "";
  let event = { kind: "message", id: "", data: "" };
  for await (const piece of decoded(body)) {
    onBytes();
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      if (line === "") {
        if (event.data) yield { ...event, data: JSON.parse(event.data) };
        event = { kind: "message", id: "", data: "" };
      } else if (line.startsWith("event:")) event.kind = value;
      else if (line.startsWith("data:")) event.data += value;
      else if (line.startsWith("id:")) event.id = value;
    }
  }
}

async function* decoded(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

export function rest(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
