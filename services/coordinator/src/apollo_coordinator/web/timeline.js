// The attempts of a job over time, a lane for each worker, drawn on a canvas: ten thousand cost no more than ten.

import { make } from "./dom.js";
import { count, duration, now, short } from "./words.js";

const MOST_LANES = 2_000; // workers that are drawn
const AXIS = 22; // px
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const LEGEND = [
  ["map", "map"], ["reduce", "reduce"], ["sampler", "sampler"], ["running", "still running"], ["failed", "failed"],
  ["lost", "lost or cancelled"], ["backup", "backup attempt"], ["straggler", "far slower than usual"],
];

export class Timeline {
  /** `open` is called with the id of an attempt, `nothing` gives the words for a timeline without any. */
  constructor(open, nothing) {
    this.open = open;
    this.nothing = nothing;
    this.lanes = new Map(); // worker -> {attempts}
    this.seen = 0;
    this.undrawn = 0; // attempts of workers that have no lane
    this.chosen = null;
    this.canvas = make("canvas", {
      tabindex: 0, role: "application", "aria-roledescription": "timeline", "aria-describedby": "timeline-chosen",
      onpointermove: (event) => this.choose(this.at(event)),
      onclick: (event) => this.at(event) && this.open(this.at(event).id),
      onkeydown: (event) => this.key(event),
    });
    this.caption = make("p", { id: "timeline-chosen", class: "note caption", "aria-live": "polite" });
    this.legend = make("ul", { class: "legend" });
    this.omitted = make("p", { class: "note", hidden: true });
    this.element = make("figure", { class: "timeline" },
      make("div", { class: "canvas" }, this.canvas), this.caption, this.legend, this.omitted);
    this.say(null);
  }

  /** Draws the story from `start` on; `slow`: ids of stragglers. */
  draw(story, start, slow) {
    this.story = story;
    this.start = start;
    this.slow = slow;
    this.gather();
    this.paint();
    if (this.chosen) this.say(this.chosen);
  }

  /** Attempts that have come since come into their lanes. */
  gather() {
    let place = 0;
    for (const attempt of this.story.attempts.values()) {
      place += 1;
      if (place <= this.seen) continue;
      if (!this.lanes.has(attempt.worker)) {
        if (this.lanes.size >= MOST_LANES) {
          this.undrawn += 1;
          continue;
        }
        this.lanes.set(attempt.worker, []);
      }
      this.lanes.get(attempt.worker).push(attempt);
    }
    this.seen = place;
  }

  measure() {
    const width = this.canvas.parentElement.clientWidth;
    const lanes = this.lanes.size;
    this.lane = lanes <= 16 ? 22 : lanes <= 60 ? 13 : lanes <= 200 ? 6 : 3;
    this.gutter = this.lane < 11 ? 0 : width < 600 ? 74 : 132;
    this.width = width;
    this.height = AXIS + Math.max(1, lanes) * this.lane + 4;
    this.end = Math.max(this.story.ended ?? now(), this.start + 1000);
  }

  x(time) {
    return this.gutter + ((time - this.start) / (this.end - this.start)) * (this.width - this.gutter - 2);
  }

  paint() {
    this.measure();
    if (!this.chosen) this.say(null);
    const scale = devicePixelRatio || 1;
    const { canvas, width, height } = this;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const style = getComputedStyle(canvas);
    const colors = new Map();
    const color = (name) => {
      if (!colors.has(name)) {
        canvas.style.color = `var(--${name})`; // as the theme says just now
        colors.set(name, style.color);
      }
      return colors.get(name);
    };
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${style.fontFamily}`;
    if (this.seen) this.axis(pen, color);
    const met = new Set();
    [...this.lanes].forEach(([worker, attempts], place) => {
      const top = AXIS + place * this.lane;
      if (this.gutter) {
        pen.fillStyle = color("soft-text");
        pen.fillText(cut(pen, worker, this.gutter - 10), 0, top + this.lane / 2 + 2.5);
      }
      attempts.forEach((attempt) => this.paintAttempt(pen, color, attempt, top, met));
    });
    this.label(met);
  }

  paintAttempt(pen, color, attempt, top, met) {
    const gap = this.lane > 8 ? 3 : this.lane > 4 ? 1 : 0;
    const height = this.lane - gap;
    const left = this.x(attempt.start);
    const width = Math.max(1, this.x(attempt.end ?? this.end) - left - (this.lane > 8 ? 1 : 0));
    const mark = { failed: "failed", lost: "lost", cancelled: "lost" }[attempt.status];
    met.add(mark ?? attempt.kind);
    pen.fillStyle = color(mark ?? attempt.kind);
    pen.globalAlpha = attempt.status === "running" ? 0.45 : 1;
    pen.fillRect(left, top, width, height);
    pen.globalAlpha = 1;
    if (attempt.status === "running") met.add("running");
    if (attempt.status === "failed" && width > 5) this.stripes(pen, left, top, width, height, color("page"));
    if (attempt.backup) {
      met.add("backup");
      pen.fillStyle = color("text");
      pen.fillRect(left, top + height - 2, width, 2);
    }
    if (this.slow.has(attempt.id)) {
      met.add("straggler");
      pen.strokeStyle = color("text");
      pen.strokeRect(left + 0.5, top + 0.5, Math.max(1, width - 1), height - 1);
    }
    if (attempt === this.chosen) {
      pen.strokeStyle = color("focus");
      pen.lineWidth = 2;
      pen.strokeRect(left - 1, top - 1, width + 2, height + 2);
      pen.lineWidth = 1;
    }
  }

  stripes(pen, left, top, width, height, color) {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    pen.strokeStyle = color;
    pen.globalAlpha = 0.5;
    pen.beginPath();
    for (let x = left - height; x < left + width; x += 6) {
      pen.moveTo(x, top + height);
      pen.lineTo(x + height, top);
    }
    pen.stroke();
    pen.restore();
  }

  axis(pen, color) {
    const seconds = (this.end - this.start) / 1000;
    const room = Math.max(2, Math.floor((this.width - this.gutter) / 80));
    const step = STEPS_S.find((each) => seconds / each <= room) ?? Math.ceil(seconds / room / 86400) * 86400;
    pen.strokeStyle = color("line");
    pen.fillStyle = color("soft-text");
    for (let tick = 0; tick <= seconds; tick += step) {
      const x = Math.round(this.x(this.start + tick * 1000)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, AXIS - 5);
      pen.lineTo(x, this.height);
      pen.stroke();
      const text = tick ? duration(tick * 1000).replace(/ 0 \w+$/, "").replace(".0", "") : "0";
      if (x + pen.measureText(text).width < this.width) pen.fillText(text, x + 2, AXIS - 9);
    }
    if (this.story.committing !== null) {
      pen.fillStyle = color("committing");
      pen.fillRect(this.x(this.story.committing), AXIS - 5, 2, this.height);
    }
  }

  label(met) {
    const words = `${count(this.seen, "attempt")} on ${count(this.lanes.size, "worker")} over ${duration(this.end - this.start)}. `
      + "Arrow keys go from attempt to attempt, Enter opens its log.";
    if (this.canvas.getAttribute("aria-label") !== words) this.canvas.setAttribute("aria-label", words);
    const omitted = this.undrawn + this.story.untold;
    this.omitted.hidden = omitted === 0;
    if (omitted) this.omitted.textContent = `${count(omitted, "more attempt")} not drawn: there are too many.`;
    const kinds = LEGEND.filter(([name]) => met.has(name));
    if (this.story.committing !== null) kinds.push(["commit", "commit"]);
    const shown = kinds.map(([name]) => name).join();
    if (this.legend.dataset.shown === shown) return;
    this.legend.dataset.shown = shown;
    this.legend.replaceChildren(...kinds.map(([name, text]) =>
      make("li", {}, make("span", { class: `swatch ${name}` }), text)));
  }

  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const lane = [...this.lanes.values()][Math.floor((y - AXIS) / this.lane)] ?? [];
    const reached = lane.filter((attempt) => x >= this.x(attempt.start) - 2 && x <= this.x(attempt.end ?? this.end) + 2);
    return reached.at(-1) ?? null;
  }

  key(event) {
    if (event.key === "Enter" && this.chosen) this.open(this.chosen.id);
    const found = {
      ArrowRight: () => this.beside(1), ArrowLeft: () => this.beside(-1),
      ArrowDown: () => this.above(1), ArrowUp: () => this.above(-1),
    }[event.key];
    if (!found) return;
    event.preventDefault();
    this.choose(found() ?? this.chosen);
  }

  beside(by) {
    if (!this.chosen) return this.lanes.values().next().value?.[0];
    const lane = this.lanes.get(this.chosen.worker) ?? [];
    return lane[lane.indexOf(this.chosen) + by];
  }

  above(by) {
    if (!this.chosen) return this.beside(1);
    const workers = [...this.lanes.keys()];
    const lane = this.lanes.get(workers[workers.indexOf(this.chosen.worker) + by]) ?? [];
    const away = (attempt) => Math.abs(attempt.start - this.chosen.start);
    return lane.reduce((best, attempt) => (best && away(best) <= away(attempt) ? best : attempt), undefined);
  }

  choose(attempt) {
    if (attempt === this.chosen || (!attempt && this.canvas === document.activeElement)) return;
    this.chosen = attempt ?? null;
    this.say(this.chosen);
    this.paint();
  }

  say(attempt) {
    if (!attempt) {
      const hint = this.seen ? "Point at an attempt, or go through them with the arrow keys." : this.nothing();
      if (this.caption.textContent !== hint) this.caption.textContent = hint;
      return;
    }
    const took = duration((attempt.end ?? now()) - attempt.start);
    const words = [
      short(attempt.id), attempt.kind, attempt.worker, took, attempt.status, attempt.backup && "backup attempt",
      this.slow.has(attempt.id) && "far slower than usual", attempt.failure?.message,
    ].filter(Boolean).join(" · ");
    if (this.caption.textContent !== words) this.caption.textContent = words;
  }
}

/** A text that is no wider than `width`. */
function cut(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}
