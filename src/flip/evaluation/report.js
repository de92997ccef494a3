"use strict";
// data: see flip/evaluation/report_data.py. The last choice of model is, of several, how much they differ.
const { models, sides, sentences, words } = JSON.parse(document.getElementById("data").textContent);
const SENTENCES = 100, WORDS = 15, Z = 1.96;
const several = models.length > 1, everyone = models.map((_, i) => i);
const element = (id) => document.getElementById(id);
const state = { key: null, descending: false, sentences: SENTENCES, words: WORDS };

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function choices(id, names) {
  names.forEach((name, i) => element(id).append(new Option(name, i)));
  element(id).parentElement.hidden = names.length < 2;
}
choices("model", several ? [...models, "differences between models"] : models);
choices("side", sides.map((side) => (side === "bias" ? "with b" : "without b")));
element("choices").hidden = !several && sides.length < 2;

const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
const range = (values) => (values.length ? Math.max(...values) - Math.min(...values) : null);

// Of a sentence, or of a word, what the chosen model makes of it; of the differences, how far the models are apart.
function chosen(row, of) {
  const model = Number(element("model").value);
  if (model < models.length) return of(row[model]);
  return range(row.map(of).filter((value) => value !== null));
}

const side = () => Number(element("side").value);
const accuracy = (one) => (one && one[side()] ? one[side()][0] : null);
const recall = (one) => (one && one[1 + side()] !== null ? one[1 + side()] / one[0] : null);

// The bound of Wilson's 95% interval of found / n that is nearer to what is not so sure.
function bound(found, n, sign) {
  const p = found / n, z = Z * Z / n;
  return (p + z / 2 + sign * Z * Math.sqrt(p * (1 - p) / n + z / (4 * n))) / (1 + z);
}

function orders() {
  const model = Number(element("model").value);
  if (model === models.length) {
    const most = (row) => Math.max(...row.map((one) => (one ? one[0] : 0)));
    return [["Most different", (row) => -(chosen(row, recall) ?? 0) * Math.sqrt(most(row))]];
  }
  const of = (row, sign) => bound(row[model][1 + side()], row[model][0], sign);
  return [["Found best", (row) => -of(row, -1)], ["Found worst", (row) => of(row, 1)]];
}

function wordTable(title, rows) {
  const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  table.createCaption().textContent = title;
  const names = several ? models : ["found"];
  for (const name of ["word", ...names]) head.append(make("th", "", name));
  for (const [word, row] of rows) {
    const tr = body.insertRow();
    tr.append(make("td", "", word));
    row.forEach((one, i) => {
      const cell = make("td", "", recall(one) === null ? "–" : `${one[1 + side()]} of ${one[0]}`);
      cell.dataset.label = names[i];
      tr.append(cell);
    });
  }
  const wide = make("div", "wide");
  wide.append(table);
  return wide;
}

function drawWords() {
  const model = Number(element("model").value);
  const known = words.filter(([, row]) => (model < models.length ? recall(row[model]) : chosen(row, recall)) !== null);
  const tables = orders().map(([title, key]) => {
    const sorted = known.map((word) => [key(word[1]), word]).sort((a, b) => a[0] - b[0] || (a[1][0] < b[1][0] ? -1 : 1));
    return wordTable(title, sorted.slice(0, state.words).map(([, word]) => word));
  });
  element("words").replaceChildren(...tables);
  element("order").textContent = `${known.length} known words, and in how many of their sentences they are found. ` +
    (model < models.length ? "In the order of the nearer bound of a 95% interval: first what is surest."
      : "In the order of the difference, times the root of the number of sentences.");
  element("more-words").hidden = known.length <= state.words;
}

const searched = sentences.map(([parts, row]) => [
  parts.map((part) => (typeof part === "string" ? part : part[0])).join(""),
  ...row.flatMap((one) => (one || []).flatMap((ranked) => (ranked ? [...ranked[1].map((k) => k[0]), ...ranked[2]] : []))),
].join(" ").toLowerCase());

function value([parts, row]) {
  if (state.key === "accuracy") return chosen(row, accuracy) ?? -1;
  return parts.map((part) => (typeof part === "string" ? part : part[0])).join("").toLowerCase();
}

function found() {
  const terms = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = sentences.filter((_, i) => terms.every((term) => searched[i].includes(term)));
  if (!state.key) return kept;
  const direction = state.descending ? -1 : 1;
  return kept.map((one) => [value(one), one])
    .sort(([a], [b]) => direction * (a < b ? -1 : a > b ? 1 : 0)).map(([, one]) => one);
}

function marked(parts, row) {
  const asked = everyone.filter((i) => row[i]);
  return parts.map((part) => {
    if (typeof part === "string") return part;
    const word = make("span", "unknown", part[0]);
    const whose = part[1].length < asked.length ? ` of ${part[1].map((i) => models[i]).join(", ")}` : "";
    word.title = `not in the vocabulary${whose}`;
    return word;
  });
}

function line([share, shown, missed], name) {
  const div = make("div", "line");
  if (several) div.append(make("span", "model", name), make("span", "share", percent(share)));
  for (const [text, score, probability, hit] of shown) {
    const word = make("span", hit ? "word hit" : "word", text);
    word.title = `score ${score}` + (probability === null ? "" : `, probability ${probability}`);
    div.append(word);
  }
  for (const text of missed) {
    const word = make("span", "word miss", text);
    word.title = "not among these";
    div.append(word);
  }
  return div;
}

function sentence([parts, row]) {
  const tr = make("tr");
  const [text, share, lines] = [0, 1, 2].map(() => tr.appendChild(make("td")));
  text.append(...marked(parts, row));
  share.textContent = percent(chosen(row, accuracy));
  row.forEach((one, i) => { if (one && one[side()]) lines.append(line(one[side()], models[i])); });
  return tr;
}

function drawSentences() {
  const kept = found(), shown = state.sentences;
  document.querySelector("#sentences tbody").replaceChildren(...kept.slice(0, shown).map(sentence));
  element("count").textContent = `${kept.length} sentence${kept.length === 1 ? "" : "s"}` +
    (kept.length > shown ? `, the first ${shown} shown` : "");
  element("more").hidden = kept.length <= shown;
}

for (const button of document.querySelectorAll("#sentences th button")) {
  button.addEventListener("click", () => {
    state.descending = state.key === button.dataset.key && !state.descending;
    state.key = button.dataset.key;
    for (const th of document.querySelectorAll("#sentences th")) th.setAttribute("aria-sort", "none");
    button.parentElement.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    drawSentences();
  });
}
element("search").addEventListener("input", () => { state.sentences = SENTENCES; drawSentences(); });
for (const id of ["model", "side"]) {
  element(id).addEventListener("change", () => { Object.assign(state, { sentences: SENTENCES, words: WORDS }); draw(); });
}
element("more").addEventListener("click", () => { state.sentences += SENTENCES; drawSentences(); });
element("more-words").addEventListener("click", () => { state.words += WORDS; drawWords(); });

function draw() {
  document.querySelector("button[data-key=accuracy]").textContent =
    Number(element("model").value) < models.length ? "Accuracy" : "Difference";
  drawWords();
  drawSentences();
}
draw();
