// Makes elements. Whatever is given as a child becomes text unless it is a node: no user's word is ever parsed as HTML.

/** make("a", {href: "#/", class: "x"}, "text", node): `on...` properties listen, false and null leave out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "string" ? plain(child) : child)));
  return element;
}

/** Marks that turn the direction of the text around them are shown as their numbers: what is read is what is there. */
export function plain(text) {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);
}

/** Fills `parent` with what `render` makes of `data`, unless it shows just that already. */
export function show(parent, data, render) {
  const shown = JSON.stringify(data);
  if (parent.shown === shown) return;
  parent.shown = shown;
  keepFocus(parent, () => parent.replaceChildren(...[render(data)].flat().filter(Boolean)));
}

/** Makes `parent` hold one node for each item, in their order. Nodes of items that did not change stay as they are. */
export function showEach(parent, items, key, render) {
  const before = parent.nodesByKey ?? new Map();
  const now = new Map();
  keepFocus(parent, () => {
    let place = parent.firstChild;
    for (const item of items) {
      const shown = JSON.stringify(item);
      let entry = before.get(key(item));
      if (entry?.shown !== shown) {
        const node = render(item);
        if (entry) {
          if (place === entry.node) place = node;
          entry.node.replaceWith(node);
        }
        entry = { shown, node };
      }
      now.set(key(item), entry);
      if (entry.node === place) place = place.nextSibling;
      else parent.insertBefore(entry.node, place);
    }
    for (const [name, entry] of before) if (!now.has(name)) entry.node.remove();
  });
  parent.nodesByKey = now;
}

/** What had the focus has it afterwards too, where something with the same link or name is there. */
function keepFocus(parent, change) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && (focused.getAttribute("href") ?? focused.dataset.name);
  change();
  if (!name || focused.isConnected) return;
  const again = [...parent.querySelectorAll("[href], [data-name]")].find(
    (element) => (element.getAttribute("href") ?? element.dataset.name) === name,
  );
  again?.focus({ preventScroll: true });
}

/** A section with a heading, for the outline of the page. */
export function section(title, ...children) {
  return make("section", { "aria-label": title }, make("h2", {}, title), ...children);
}

/** A table with its head; rows go into the body. `columns`: texts, or [text, class]. */
export function table(label, columns, ...rows) {
  const heads = columns.map((column) => {
    const [text, style] = [column].flat();
    return make("th", { scope: "col", class: style }, text);
  });
  const body = make("tbody", {}, ...rows);
  const whole = make("div", { class: "wide" }, make("table", { "aria-label": label },
    make("thead", {}, make("tr", {}, heads)), body));
  return { whole, body };
}

/** Asks before something is done. True when the answer is yes. */
export function confirmed(title, text, yes) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
