"use strict";
// The records lie in chunks of JSON, which are parsed when one of theirs is shown or searched; of each record an index
// holds [share of the different content words kept or null, how many of them are lost].
const PAGE = 50, PARSED = 8, STATES = ["kept", "faint", "lost", "unknown", "unread"];
const chunks = [...document.querySelectorAll("script.records")];
const index = [], starts = [];
for (const part of document.querySelectorAll("script.index")) {
  starts.push(index.length);
  for (const one of JSON.parse(part.textContent)) index.push(one);
}
const everything = index.map((_, i) => i);
const element = (id) => document.getElementById(id);
const state = { key: "order", descending: false, found: everything, page: 0, search: 0 };
const parsed = new Map();

function rows(chunk) {
  if (!parsed.has(chunk)) {
    if (parsed.size >= PARSED) parsed.delete(parsed.keys().next().value);
    parsed.set(chunk, JSON.parse(chunks[chunk].textContent));
  }
  return parsed.get(chunk);
}

function record(i) {
  let chunk = Math.min(Math.floor(i / (starts[1] || Infinity)), starts.length - 1);
  return rows(chunk)[i - starts[chunk]];
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const percent = (p) => (p === null ? "" : p >= 0.01 ? `${Math.round(100 * p)}%` : "<1%");

function marked(marks) {
  const text = make("div", "text");
  for (const mark of marks) {
    if (typeof mark === "string") { text.append(mark); continue; }
    const word = make("span", `word ${STATES[mark[1]]}`, mark[0]);
    word.title = mark[1] === 4 ? "not read" : [STATES[mark[1]], percent(mark[2])].filter(Boolean).join(", ");
    text.append(word);
  }
  return text;
}

function list(words) {
  const others = make("div", "others");
  words.forEach(([word, p], i) => {
    const bar = make("span", p === null ? "" : "bar");
    if (p !== null) bar.style.width = `${100 * p}%`;
    others.append(make("span", "name", word), bar, make("span", "share", p === null ? `${i + 1}.` : percent(p)));
  });
  return others;
}

function row(i) {
  const tr = make("tr"), r = record(i), [share, lost] = index[i];
  tr.append(make("td", "", r.id), make("td", "", share === null ? "–" : `${Math.round(100 * share)}%`), make("td", "", lost ?? "–"));
  const cell = tr.appendChild(make("td"));
  if (r.title) cell.append(make("div", "text", r.title));
  if (r.via) cell.append(make("div", "note", r.via));
  if (r.marks.length) cell.append(marked(r.marks));
  if (r.others.length) cell.append(list(r.others));
  if (r.unlikely.length) cell.append(make("div", "less", `less likely: ${r.unlikely.map((w) => w[0]).join(", ")}`));
  if (r.function && r.function[1]) cell.append(make("div", "less", `function words kept: ${r.function[0]} of ${r.function[1]}`));
  for (const note of r.notes) cell.append(make("div", "note", note));
  if (r.error) cell.append(make("div", "error", r.error));
  return tr;
}

function sorted(found) {
  if (state.key === "order") return state.descending ? [...found].reverse() : found;
  const column = state.key === "kept" ? 0 : 1, direction = state.descending ? -1 : 1;
  return [...found].sort((a, b) => {
    const x = index[a][column], y = index[b][column];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;  // what has none comes last
    return direction * (x - y) || a - b;
  });
}

let order = everything;
function draw() {
  const pages = Math.max(1, Math.ceil(order.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const shown = order.slice(state.page * PAGE, (state.page + 1) * PAGE);
  // Chunk by chunk, so that each is parsed once however the records are sorted.
  const drawn = new Map([...shown].sort((a, b) => a - b).map((i) => [i, row(i)]));
  document.querySelector("#records tbody").replaceChildren(...shown.map((i) => drawn.get(i)));
  element("count").textContent = `${order.length.toLocaleString("en")} record${order.length === 1 ? "" : "s"}` +
    (order.length < index.length ? ` of ${index.length.toLocaleString("en")}` : "");
  element("place").textContent = `${state.page + 1} of ${pages}`;
  element("previous").disabled = state.page === 0;
  element("next").disabled = state.page === pages - 1;
}

function show(found) {
  state.found = found;
  order = sorted(found);
  state.page = 0;
  draw();
}

const words = (list) => list.map((w) => w[0]).join(" ");
const searched = (r) => [r.title, r.marks.map((m) => (typeof m === "string" ? m : m[0])).join(""), words(r.others),
  words(r.unlikely), r.error].join(" ").toLowerCase();

// A chunk at a time, so that the page answers while it searches; a newer search ends an older one.
function search() {
  const terms = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const own = ++state.search;
  if (!terms.length) { show(everything); return; }
  const found = [];
  function step(chunk) {
    if (own !== state.search) return;
    if (chunk === chunks.length) { show(found); return; }
    element("count").textContent = `searching, ${found.length.toLocaleString("en")} found`;
    JSON.parse(chunks[chunk].textContent).forEach((r, i) => {
      const text = searched(r);
      if (terms.every((term) => text.includes(term))) found.push(starts[chunk] + i);
    });
    if (chunk % 8 === 7) setTimeout(step, 0, chunk + 1);
    else step(chunk + 1);
  }
  step(0);
}

for (const button of document.querySelectorAll("#records th button")) {
  button.addEventListener("click", () => {
    state.descending = state.key === button.dataset.key && !state.descending;
    state.key = button.dataset.key;
    for (const th of document.querySelectorAll("#records th")) if (th.hasAttribute("aria-sort")) th.setAttribute("aria-sort", "none");
    button.parentElement.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    show(state.found);
  });
}
let waiting = 0;
element("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 150); });
element("previous").addEventListener("click", () => { state.page--; draw(); });
element("next").addEventListener("click", () => { state.page++; draw(); });
draw();
