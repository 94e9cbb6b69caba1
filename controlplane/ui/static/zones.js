// Zones, masks or lines, drawn over the live picture: their corners are normalised to the picture, each has a name. A click into
// the picture begins one or adds a corner; clicking its first corner, Enter or a double click closes it; Escape drops it.
// Corners are dragged, or moved by the arrow keys; Delete takes one away. Small corners between them make new ones. A line
// has two corners, and is done with the second; its arrow says which way to look for its right and left.

import { shape } from "./charts.js";

const POLYGON = { fewest: 3, most: 32, made: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]] };
const CORNERS = { zones: POLYGON, masks: POLYGON, lines: { fewest: 2, most: 2, made: [[0.5, 0.8], [0.5, 0.3]] } };
const MOST = 16, STEP = 0.01, NEAR = 12; // the last in pixels
const PICTURE_EVERY = 700; // ms
let kind = "zones", zones = [], drawing = null, dragged = null, chosen = -1, timer = null;

const dialog = () => document.getElementById(kind);
const field = () => part(`[name="spec.${kind}"]`);
const word = () => kind.slice(0, -1);
const corners = () => CORNERS[kind];
const isLine = () => corners().most === 2;
const part = (selector) => dialog().querySelector(selector);
const clamp = (value) => Math.min(1, Math.max(0, value));
const round = (value) => Math.round(value * 10_000) / 10_000;
const size = () => part(".zone-stage").getBoundingClientRect();

// ---- opening and closing ----

document.addEventListener("click", (event) => {
  const opener = event.target.closest('[data-dialog="zones"], [data-dialog="masks"], [data-dialog="lines"]');
  if (opener) opened(opener.dataset.dialog);
  if (event.target.closest(".add-zone")) addZone();
});

function opened(which) {
  kind = which;
  zones = JSON.parse(field().value || "[]");
  drawing = null;
  chosen = zones.length ? 0 : -1;
  const stage = part(".zone-stage");
  if (!stage.dataset.ready) prepare(stage);
  new ResizeObserver(draw).observe(stage);
  refresh();
  clearInterval(timer);
  timer = setInterval(refresh, PICTURE_EVERY);
  dialog().addEventListener("close", () => clearInterval(timer), { once: true });
  changed();
}

function refresh() {
  const image = part(".zone-stage img"), next = new Image();
  next.onload = () => {
    image.src = next.src;
    image.hidden = false;
    part(".zone-stage").style.setProperty("aspect-ratio", `${next.naturalWidth} / ${next.naturalHeight}`);
  };
  next.src = `/ui/pictures/${encodeURIComponent(part("form").dataset.cameraName)}?at=${Date.now()}`;
}

function addZone() {
  if (zones.length >= MOST) return;
  drawing = null;
  zones.push({ name: freeName(), points: structuredClone(corners().made) });
  chosen = zones.length - 1;
  changed();
  part(`.zone-list li:nth-child(${chosen + 1}) input`).select();
}

function freeName() {
  const names = new Set(zones.map((zone) => zone.name));
  for (let number = zones.length + 1; ; number++) if (!names.has(`${word()}-${number}`)) return `${word()}-${number}`;
}

// ---- the pointer ----

function prepare(stage) {
  stage.dataset.ready = "yes";
  const svg = stage.querySelector("svg");
  svg.addEventListener("pointerdown", pressed);
  svg.addEventListener("pointermove", moved);
  svg.addEventListener("pointerup", released);
  svg.addEventListener("pointercancel", released); // a finger that the system took away
  svg.addEventListener("dblclick", close);
  svg.addEventListener("keydown", keyed);
  dialog().addEventListener("cancel", (event) => { if (drawing) { event.preventDefault(); drawing = null; changed(); } });
  dialog().addEventListener("keydown", (event) => {
    if (event.key === "Enter" && drawing && !event.target.matches("button")) { event.preventDefault(); close(); }
  });
}

function at(event) {
  const { left, top, width, height } = size();
  return [round(clamp((event.clientX - left) / width)), round(clamp((event.clientY - top) / height))];
}

function pressed(event) {
  if (event.button !== 0) return;
  const { zone, corner, between } = event.target.dataset;
  if (zone === "drawing" && corner === "0" && drawing.length >= corners().fewest) return close();
  if (corner !== undefined && zone !== "drawing") return grab(event, Number(zone), Number(corner));
  if (between !== undefined) return split(event, Number(zone), Number(between));
  if (zone !== undefined && zone !== "drawing" && !drawing) { chosen = Number(zone); changed(); return undefined; }
  if (zones.length >= MOST) return undefined;
  drawing = drawing || [];
  const point = at(event), last = drawing.at(-1);
  if (drawing.length < corners().most && !(last && near(last, point))) drawing.push(point);
  chosen = -1;
  if (isLine() && drawing.length === 2) return close();
  return changed();
}

const near = (one, other) => Math.hypot((one[0] - other[0]) * size().width, (one[1] - other[1]) * size().height) < NEAR;

function grab(event, zone, corner) {
  chosen = zone;
  dragged = { zone, corner };
  event.currentTarget.setPointerCapture(event.pointerId);
  changed();
  focusCorner(zone, corner);
}

function split(event, zone, between) {
  const points = zones[zone].points;
  if (points.length >= corners().most) return;
  points.splice(between + 1, 0, at(event));
  grab(event, zone, between + 1);
}

function moved(event) {
  if (dragged) { zones[dragged.zone].points[dragged.corner] = at(event); draw(); } else if (drawing) draw(at(event));
}

function released() {
  if (!dragged) return;
  dragged = null;
  changed();
}

function close() {
  if (!drawing) return;
  if (drawing.length >= corners().fewest) {
    zones.push({ name: freeName(), points: drawing });
    chosen = zones.length - 1;
  }
  drawing = null;
  changed();
  if (chosen >= 0) part(`.zone-list li:nth-child(${chosen + 1}) input`).select();
}

// ---- the keyboard ----

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keyed(event) {
  const { zone, corner } = event.target.dataset;
  if (corner === undefined || zone === "drawing") return;
  const points = zones[zone].points, point = points[corner], arrow = ARROWS[event.key];
  if (arrow) {
    const step = STEP * (event.shiftKey ? 5 : 1);
    points[corner] = [round(clamp(point[0] + arrow[0] * step)), round(clamp(point[1] + arrow[1] * step))];
  } else if ((event.key === "Delete" || event.key === "Backspace") && points.length > corners().fewest) {
    points.splice(corner, 1);
  } else return;
  event.preventDefault();
  chosen = Number(zone);
  changed();
  focusCorner(zone, Math.min(corner, points.length - 1));
}

function focusCorner(zone, corner) {
  const found = part(`[data-zone="${zone}"][data-corner="${corner}"]`);
  if (found) found.focus({ preventScroll: true });
}

// ---- showing ----

function changed() {
  field().value = JSON.stringify(zones);
  part(".add-zone").disabled = zones.length >= MOST;
  list();
  draw();
}

function draw(pointer) {
  const svg = part(".zone-stage svg"), { width, height } = size();
  if (!width) return;
  const focused = document.activeElement && document.activeElement.dataset.corner !== undefined ? { ...document.activeElement.dataset } : null;
  const xy = (point) => [point[0] * width, point[1] * height];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = zones.flatMap((zone, index) => polygon(zone, index, xy));
  if (drawing) parts.push(...unfinished(pointer, xy));
  svg.replaceChildren(...parts);
  if (focused) focusCorner(focused.zone, focused.corner);
}

function polygon({ name, points }, index, xy) {
  const is = index === chosen, text = points.map((point) => xy(point).join(",")).join(" ");
  const area = isLine()
    ? [hold(text, index), shape("polyline", { class: `zone line${is ? " chosen" : ""}`, points: text }), arrow(points.map(xy), is)]
    : [shape("polygon", { class: `zone${is ? " chosen" : ""}`, points: text, "data-zone": index })];
  const middle = xy([mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]);
  const label = shape("text", { class: "zone-name", x: middle[0], y: middle[1], "text-anchor": "middle" });
  label.textContent = name;
  if (!is) return [...area, label];
  const between = isLine() ? [] : points.map((point, corner) => {
    const next = points[(corner + 1) % points.length], [cx, cy] = xy([(point[0] + next[0]) / 2, (point[1] + next[1]) / 2]);
    return shape("circle", { class: "between", cx, cy, r: 5, "data-zone": index, "data-between": corner });
  });
  return [...area, label, ...between, ...points.map((point, corner) => handle(xy(point), index, corner, `${name}, corner ${corner + 1} of ${points.length}`))];
}

const hold = (points, index) => shape("polyline", { class: "zone-hold", points, "data-zone": index }); // wide enough for a finger

function arrow([from, to], is) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1, along = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
  const point = (back, aside) => `${to[0] - back * along[0] - aside * along[1]},${to[1] - back * along[1] + aside * along[0]}`;
  return shape("polygon", { class: `zone-arrow${is ? " chosen" : ""}`, points: [point(8, 0), point(24, 8), point(24, -8)].join(" ") });
}

function unfinished(pointer, xy) {
  const points = pointer ? [...drawing, pointer] : drawing;
  return [
    shape("polyline", { class: "zone drawing", points: points.map((point) => xy(point).join(",")).join(" ") }),
    ...drawing.map((point, corner) => handle(xy(point), "drawing", corner, "")),
  ];
}

function handle([cx, cy], zone, corner, label) {
  const named = label ? { tabindex: 0, role: "button", "aria-label": label } : {};
  return shape("circle", { class: "corner", cx, cy, r: 7, "data-zone": zone, "data-corner": corner, ...named });
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function list() {
  const element = part(".zone-list"), there = element.querySelectorAll("li");
  if (there.length !== zones.length) element.replaceChildren(...zones.map(item));
  zones.forEach((zone, index) => {
    const row = element.children[index], input = row.querySelector("input");
    row.classList.toggle("chosen", index === chosen);
    if (document.activeElement !== input) input.value = zone.name;
    row.querySelector("span").textContent = isLine() ? "" : `${zone.points.length} corners`;
  });
}

function item(_, index) {
  const row = document.createElement("li"), input = document.createElement("input"), count = document.createElement("span"), away = document.createElement("button");
  input.className = "input";
  input.setAttribute("aria-label", `Name of ${word()} ${index + 1}`);
  input.required = true;
  input.pattern = "[a-z0-9][a-z0-9\\-]*";
  input.maxLength = 63;
  input.addEventListener("focus", () => { if (chosen !== index) { chosen = index; draw(); list(); } });
  input.addEventListener("input", () => {
    zones[index].name = input.value.trim();
    field().value = JSON.stringify(zones);
    draw();
  });
  count.className = "small";
  away.type = "button";
  away.className = "button quiet danger";
  away.textContent = "Remove";
  away.addEventListener("click", () => { zones.splice(index, 1); chosen = -1; changed(); });
  row.append(input, count, ...(isLine() ? [turning(index)] : []), away);
  return row;
}

function turning(index) {
  const turn = document.createElement("button");
  turn.type = "button";
  turn.className = "button quiet";
  turn.textContent = "Turn round";
  turn.addEventListener("click", () => { zones[index].points.reverse(); chosen = index; changed(); });
  return turn;
}
