// A job's tasks, page by page, for who asks for them.

import { page } from "./api.js";
import { make, section, showEach, table } from "./dom.js";
import { attemptLink } from "./job_parts.js";
import { elapsed, number, short, size, status } from "./words.js";

const PAGE = 100;

export function tasksOf(path, story, signal) {
  const tasks = [];
  let next = `${path}/tasks?limit=${PAGE}`;
  const { whole, body } = table("Tasks", ["Task", "Status", ["Attempts", "figure"], ["Took", "figure"], ["Input", "wide-only"]]);
  const more = make("button", { type: "button" }, "Show the tasks");
  const said = make("p", { class: "note", role: "status" });
  whole.hidden = true;
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const found = await page(next, { signal });
      tasks.push(...found.items);
      next = found.next;
      showEach(body, tasks, (task) => task.id, row);
      whole.hidden = false;
      said.textContent = tasks.length ? `${number(tasks.length)} tasks are shown, as they were just now.` : "No tasks yet.";
      more.textContent = "More tasks";
      more.hidden = !next;
      if (!tasks.length) next = `${path}/tasks?limit=${PAGE}`;
    } catch (error) {
      said.textContent = error.message;
    }
    more.disabled = false;
  });
  return section("Tasks", whole, said, more);
}

function row(task) {
  const attempt = task.acceptedAttempt ?? (task.attempts ? `${task.id}-${task.attempts - 1}` : null);
  const split = task.inputData;
  return make("tr", {},
    make("td", { class: "name" }, attempt ? make("a", { class: "row", href: attemptLink(attempt) }, short(task.id)) : short(task.id)),
    make("td", {}, status(task.status)),
    make("td", { class: "figure" }, task.attempts),
    make("td", { class: "figure" }, task.startTime === null ? "" : elapsed(task.startTime, task.endTime)),
    make("td", { class: "wide-only path" }, split ? `${split.path} from ${size(split.offset)}, ${size(split.length)}` : ""));
}
