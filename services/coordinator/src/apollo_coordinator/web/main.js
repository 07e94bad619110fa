// Where the page begins: which view the address asks for, the keyboard, the notice when the connection is lost.

import { Refused } from "./api.js";
import { showAttempt } from "./attempt.js";
import { make } from "./dom.js";
import { showJob } from "./job.js";
import { showJobs } from "./jobs.js";
import { tick } from "./words.js";
import { showWorkers } from "./workers.js";

const ROUTES = [
  [/^#?\/?$/, showJobs],
  [/^#\/workers$/, showWorkers],
  [/^#\/jobs\/([^/]+)$/, showJob],
  [/^#\/attempts\/([^/]+)$/, showAttempt],
];
const TICK_MS = 1000;

const main = document.getElementById("main");
const connection = document.getElementById("connection");
let current = new AbortController();
let up = "#/"; // where `u` leads

function route() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  connected(true);
  up = "#/";
  const [pattern, view] = ROUTES.find(([known]) => known.test(location.hash)) ?? [];
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === (location.hash || "#/");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  scrollTo(0, 0);
  if (!view) return fail(new Error("There is nothing at this address."));
  const page = { main, signal, connected, title, leadsUpTo: (hash) => (up = hash) };
  return show(view, page, pattern.exec(location.hash).slice(1)).catch((error) => signal.aborted || fail(error));
}

async function show(view, page, parts) {
  await view(page, ...parts.map(decodeURIComponent));
}

function title(text) {
  document.title = text ? `${text} · Apollo` : "Apollo";
}

function connected(well) {
  connection.hidden = well;
  if (!well) connection.textContent = "The connection to the coordinator is lost. Trying again…";
  else connection.textContent = "";
}

function fail(error) {
  const known = error instanceof Refused || error instanceof TypeError;
  const said = error instanceof TypeError ? "The coordinator does not answer. " : `${error.message} `;
  main.replaceChildren(make("p", { class: "notice bad", role: "alert" }, said,
    make("button", { type: "button", onclick: route }, "Try again")));
  if (!known) console.error(error);
}

// The keyboard

function rows() {
  return [...main.querySelectorAll("a.row")].filter((link) => link.offsetParent !== null);
}

function step(by) {
  const links = rows();
  const here = links.indexOf(document.activeElement);
  const next = links[here === -1 ? (by > 0 ? 0 : links.length - 1) : here + by];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  u: () => (location.hash = up),
  w: () => (location.hash = "#/workers"),
  "/": () => main.querySelector("input[type=search]")?.focus(),
  "?": () => document.getElementById("help").showModal(),
};

addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, select, textarea, dialog");
  if (busy && event.key === "Escape") event.target.blur();
  if (busy || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.getElementById("help-button").addEventListener("click", KEYS["?"]);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

addEventListener("hashchange", route);
setInterval(tick, TICK_MS);
route();
