// Charts drawn by hand in SVG. A chart is <svg data-chart="KEY" data-kind="stack|lines|band|axis"> in a .chart-box with a .tip and
// a .legend whose items name the series, their words and classes; data-unit is what the axis counts.
//   stack: {end, step, columns: [{series: value}]}     columns of `step` ms, the last one ends at `end`
//   lines: {from, to, time, limit, lines: {series: [[x, y|null]]}}   x is unix ms where `time`, else a number
//   band: {end, step, cells: [[series, sentence]|null]}   of columns, in which one state held each, and why
//   axis: a stack's moments alone, below charts with data-bare, which have none
// Charts in one [data-together] have the same columns: what is pointed at in one is marked in all. A .chart-box with
// data-occurring names in its legend only what occurs.

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 40, right: 6, bottom: 22, top: 10 };
const BARE = 4; // the lower edge of a chart without moments

export function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export function drawBar(element, parts) {
  let x = 0;
  element.replaceChildren(...parts.map(([outcome, share]) => {
    const part = shape("rect", { class: outcome, x, width: share, height: 1 });
    x += share;
    return part;
  }));
}

export function drawChart(element, value) {
  const { width, height } = element.getBoundingClientRect();
  if (!width || !value) return;
  const box = element.closest(".chart-box");
  const bare = "bare" in element.dataset, bottom = bare ? BARE : EDGE.bottom;
  const area = { width, height, bare, inner: width - EDGE.left - EDGE.right, tall: height - EDGE.top - bottom };
  element.setAttribute("viewBox", `0 0 ${width} ${height}`);
  element.replaceChildren(...KINDS[element.dataset.kind](value, area, box));
}

const KINDS = { stack, lines, band, axis: ({ end, step, columns }, area) => moments(end - step * columns.length, end, area) };

const legend = (box) => [...box.querySelectorAll("[data-series]")]
  .map((item) => ({ name: item.dataset.series, word: item.textContent.trim(), look: item.dataset.class }));

// ---- columns ----

function stack({ end, step, columns }, area, box) {
  name(box, columns.flatMap(Object.keys));
  const series = legend(box), wide = area.inner / columns.length;
  const sums = columns.map((column) => series.reduce((sum, { name }) => sum + (column[name] || 0), 0));
  const y = scale(Math.max(...sums, 0), area);
  const parts = [...grid(y, area), ...moments(end - step * columns.length, end, area)];
  columns.forEach((column, index) => {
    const x = EDGE.left + index * wide, at = end - (columns.length - index) * step;
    parts.push(columnOf(column, series, { x, wide, y, area }, () => { mark(box, x + wide / 2); tip(box, at, told(column, series, sums[index]), x / area.width); }));
  });
  parts.push(cursorIn(area));
  box.onpointerleave = leave;
  if (!sums.some(Boolean)) parts.push(label(EDGE.left + area.inner / 2, EDGE.top + area.tall / 2, box.dataset.nothing || "no frame in this time", "middle", "nothing"));
  return parts;
}

function columnOf(column, series, { x, wide, y, area }, enter) {
  const group = shape("g", { class: "column" });
  group.append(shape("rect", { class: "hit", x, y: EDGE.top, width: wide, height: area.tall }));
  let sum = 0;
  for (const { name, look } of series) {
    const value = column[name];
    if (!value) continue;
    const upper = y.at(sum + value);
    group.append(shape("rect", { class: look, x: x + wide * 0.1, y: upper, width: Math.max(1, wide * 0.8), height: y.at(sum) - upper }));
    sum += value;
  }
  group.addEventListener("pointerenter", enter);
  return group;
}

const told = (column, series, sum) => [
  ...series.filter(({ name }) => column[name]).map((each) => [each, column[each.name]]),
  [{ word: "all", look: "" }, sum],
];

// ---- lines ----

function lines(value, area, box) {
  const series = legend(box).filter(({ name }) => (value.lines[name] || []).some((point) => point[1] !== null));
  const points = series.flatMap(({ name }) => value.lines[name]).map((point) => point[1] || 0);
  name(box, series.map(({ name: key }) => key));
  const y = scale(Math.max(...points, value.limit || 0, 0), area);
  const x = (at) => EDGE.left + area.inner * (at - value.from) / Math.max(1e-9, value.to - value.from);
  const parts = [...grid(y, area), ...(value.time ? moments(value.from, value.to, area) : numbers(value.from, value.to, area))];
  if (value.limit) parts.push(shape("line", { class: "limit", x1: EDGE.left, x2: area.width - EDGE.right, y1: y.at(value.limit), y2: y.at(value.limit) }));
  for (const { name, look } of series) parts.push(shape("path", { class: `line ${look}`, d: path(value.lines[name], x, y) }));
  if (!series.length) parts.push(label(EDGE.left + area.inner / 2, EDGE.top + area.tall / 2, "nothing measured in this time", "middle", "nothing"));
  const hit = shape("rect", { class: "hit", x: EDGE.left, y: EDGE.top, width: area.inner, height: area.tall });
  hit.addEventListener("pointermove", (event) => follow(event, value, { series, x, box, area }));
  box.onpointerleave = leave;
  return [...parts, cursorIn(area), hit];
}

function path(points, x, y) {
  let pen = "M";
  return points.map(([at, value]) => {
    if (value === null) { pen = "M"; return ""; }
    const part = `${pen}${x(at).toFixed(1)} ${y.at(value).toFixed(1)}`;
    pen = "L";
    return part;
  }).join("");
}

function follow(event, value, { series, x, box, area }) {
  const at = event.clientX - event.target.ownerSVGElement.getBoundingClientRect().left;
  const known = series.map((each) => [each, nearest(value.lines[each.name], (point) => Math.abs(x(point[0]) - at))]).filter(([, point]) => point);
  if (!known.length) return;
  const moment = known[0][1][0];
  mark(box, x(moment));
  tip(box, value.time ? moment : `step ${moment}`, known.map(([each, point]) => [each, point[1]]), x(moment) / area.width);
}

const nearest = (points, far) => points.filter((point) => point[1] !== null)
  .reduce((best, point) => (best === null || far(point) < far(best) ? point : best), null);

// ---- one state after another ----

function band({ end, step, cells }, area, box) {
  name(box, cells.filter(Boolean).map(([state]) => state));
  const series = new Map(legend(box).map((each) => [each.name, each])), wide = area.inner / cells.length;
  const parts = moments(end - step * cells.length, end, area), y = EDGE.top, height = area.tall;
  for (const [first, last, cell] of runs(cells)) {
    const x = EDGE.left + first * wide, width = (last - first) * wide, { word, look } = series.get(cell[0]);
    const piece = shape("rect", { class: `piece ${look}`, x, y, width, height });
    const at = end - (cells.length - first) * step;
    piece.addEventListener("pointerenter", () => { mark(box, x); tip(box, at, [], x / area.width, [word, cell[1]]); });
    parts.push(piece);
    if (width > 16 + 6.4 * word.length) parts.push(label(x + 8, y + height / 2 + 4, word, "start", "inside"));
  }
  if (!cells.some(Boolean)) parts.push(label(EDGE.left + area.inner / 2, y + height / 2 + 4, "nothing told of this time", "middle", "nothing"));
  box.onpointerleave = leave;
  return [...parts, cursorIn(area)];
}

// Columns that say the same, as [first, behind the last, what they say].
function runs(cells) {
  const found = [];
  cells.forEach((cell, index) => {
    const before = found.at(-1);
    if (!cell) return;
    if (before && before[1] === index && String(before[2]) === String(cell)) before[1] = index + 1;
    else found.push([index, index + 1, cell]);
  });
  return found;
}

// ---- around all ----

function name(box, occurring) {
  if (!("occurring" in box.dataset)) return;
  for (const item of box.querySelectorAll("[data-series]")) item.hidden = !occurring.includes(item.dataset.series);
}

const cursorIn = (area) => shape("line", { class: "cursor", y1: EDGE.top, y2: EDGE.top + area.tall, visibility: "hidden" });
const cursors = (box) => (box.closest("[data-together]") || box).querySelectorAll(".cursor");

function mark(box, x) {
  for (const cursor of cursors(box)) for (const [key, value] of [["x1", x], ["x2", x], ["visibility", "visible"]]) cursor.setAttribute(key, value);
}

// A finger that is lifted leaves what it tapped to be read, until the next tap elsewhere.
function leave(event) { if (event.pointerType !== "touch") unmark(event.currentTarget); }

function unmark(box) {
  hide(box);
  for (const cursor of cursors(box)) cursor.setAttribute("visibility", "hidden");
}

document.addEventListener("pointerdown", (event) => {
  for (const box of document.querySelectorAll(".chart-box")) if (!box.querySelector(".tip").hidden && !box.contains(event.target)) unmark(box);
});

function scale(most, area) {
  const top = nice(most > 0 ? most : 1);
  return { top, at: (value) => EDGE.top + area.tall * (1 - value / top) };
}

function grid(y, area) {
  return [0, 0.5, 1].flatMap((part) => {
    const at = y.at(y.top * part);
    return [
      shape("line", { class: "grid", x1: EDGE.left, x2: area.width - EDGE.right, y1: at, y2: at }),
      label(EDGE.left - 7, at + 3.5, trim(y.top * part), "end"),
    ];
  });
}

function moments(from, to, area) {
  if (area.bare) return [];
  const minutes = (to - from) / 60_000, marks = area.width > 480 ? 5 : 2, parts = [];
  const [unit, length] = minutes < 100 ? ["min", 1] : minutes < 4320 ? ["h", 60] : ["d", 1440];
  for (let mark = 0; mark < marks; mark++) {
    const back = minutes * (1 - mark / marks), at = EDGE.left + area.inner * mark / marks;
    parts.push(label(at, area.height - 6, `−${trim(back / length)} ${unit}`, "start"));
  }
  return [...parts, label(area.width - EDGE.right, area.height - 6, "now", "end")];
}

function numbers(from, to, area) {
  return [0, 0.5, 1].map((part) => label(EDGE.left + area.inner * part, area.height - 6, trim(from + (to - from) * part), ["start", "middle", "end"][part * 2]));
}

function tip(box, at, rows, share, sentences = []) {
  const element = box.querySelector(".tip"), head = document.createElement("b"), unit = box.dataset.unit;
  head.textContent = typeof at !== "number" ? at : Date.now() - at < 86400000 ? new Date(at).toLocaleTimeString() : new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  element.replaceChildren(head, ...rows.map(([{ word, look }, value]) => {
    const row = document.createElement("span"), key = document.createElement("i"), figure = document.createElement("i");
    key.className = look ? `key ${look}` : "";
    figure.textContent = `${trim(value)} ${unit}`;
    row.append(...(look ? [key] : []), word, figure);
    return row;
  }), ...sentences.map((sentence) => Object.assign(document.createElement("p"), { textContent: sentence })));
  element.hidden = false;
  const room = box.clientWidth - element.offsetWidth;
  const left = share > 0.5 ? share * box.clientWidth - element.offsetWidth - 14 : share * box.clientWidth + 18;
  element.style.setProperty("left", `${Math.max(0, Math.min(room, left))}px`);
}

function hide(box) { box.querySelector(".tip").hidden = true; }

function label(x, y, text, anchor, look = "") {
  const element = shape("text", { x, y, "text-anchor": anchor, ...(look ? { class: look } : {}) });
  element.textContent = text;
  return element;
}

const trim = (value) => (Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3))));

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value * 0.999);
}
