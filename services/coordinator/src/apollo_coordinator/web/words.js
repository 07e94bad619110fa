// Figures in words: durations, sizes, times, names of statuses.

import { make } from "./dom.js";

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 40 ms, 0.7 s, 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h */
export function duration(ms) {
  if (ms > 0 && ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < SIZES.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${SIZES[unit]}`;
}

export function number(value) {
  return value.toLocaleString("en");
}

export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** A moment in the reader's own time zone: the day is left out today. */
export function moment(ms) {
  const date = new Date(ms);
  const time = date.toLocaleTimeString("en-GB");
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString("en-CA")} `;
  return make("time", { datetime: date.toISOString(), title: date.toString() }, day + time);
}

/** How long from `start` to `end`; without an end it goes on while it is shown. */
export function elapsed(start, end) {
  if (end !== undefined && end !== null) return make("span", { class: "figure" }, duration(end - start));
  return make("span", { class: "figure", "data-since": start }, duration(now() - start));
}

let ahead = 0;

/** The coordinator's clock, as far as its answers tell. */
export function now() {
  return Date.now() + ahead;
}

export function heardAt(serverMs) {
  if (Number.isFinite(serverMs) && Math.abs(serverMs - now()) > 2000) ahead = serverMs - Date.now();
}

/** Makes what `elapsed` has begun go on. */
export function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = duration(now() - Number(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
}

/** A status as a word with a mark before it, so that nobody needs the colour. */
export function status(word) {
  return make("span", { class: `status ${word}` }, word);
}

/** The task or attempt without the job before it: m-00012-0. */
export function short(id) {
  return id.slice(id.indexOf("-") + 1);
}

/** What messages put between backticks is code. */
export function prose(text) {
  return text.split(/`([^`\n]+)`/).map((part, place) => (place % 2 ? make("code", {}, part) : part));
}

/** A share of a whole as a bar. */
export function bar(share, label, style = "") {
  const percent = Math.round(100 * Math.min(1, Math.max(0, share)));
  const fill = make("div", { class: "fill" });
  fill.style.width = `${percent}%`;
  return make("div", {
    class: `progress ${style}`, role: "progressbar", "aria-label": label,
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent,
  }, fill);
}
