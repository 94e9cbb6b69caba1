// The live page. Values come by key over one event stream; elements say with data attributes which they show:
//   data-text, data-state (as data-is), data-bar, data-chart, data-from-right, data-checked.
// Pictures are fetched when the stream says there is a newer one and the camera is on the screen.

const SVG = "http://www.w3.org/2000/svg";
const LOOK_EVERY = 10_000; // ms; a box streams for 30 s after somebody looked
const TRY_AGAIN = 2_000; // ms, after the control plane could not answer
const known = {};
const cameras = new Map(); // name -> {card, image, visible, newest, shown, loading}

const all = (selector) => document.querySelectorAll(selector);
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const outcomes = () => [...all("[data-outcome]")].map((item) => [item.dataset.outcome, item.textContent.trim()]); // in the legend's order
const shape = (name, attributes) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

// ---- values ----

const SHOW = {
  text: (element, value) => { if (element.textContent !== String(value)) element.textContent = value; },
  state: (element, value) => { element.dataset.is = value; },
  bar: (element, value) => drawBar(element, value),
  chart: (element, value) => drawChart(element, value),
  fromRight: (element, value) => { element.setAttribute("x", 100 - value); element.setAttribute("width", value); },
  checked: (element, value) => { if (!element.disabled) element.checked = value; },
};
const ATTRIBUTE = {
  text: "data-text", state: "data-state", bar: "data-bar", chart: "data-chart", fromRight: "data-from-right",
  checked: "data-checked",
};

function apply(values) {
  Object.assign(known, values);
  for (const [kind, attribute] of Object.entries(ATTRIBUTE)) {
    for (const element of all(`[${attribute}]`)) {
      const key = element.getAttribute(attribute);
      if (key in values) SHOW[kind](element, values[key]);
    }
  }
}

function drawBar(element, parts) {
  let x = 0;
  element.replaceChildren(...parts.map(([outcome, share]) => {
    const part = shape("rect", { class: outcome, x, width: share, height: 1 });
    x += share;
    return part;
  }));
}

// ---- the chart ----

const CHART = { left: 30, bottom: 22, top: 8 };

function drawChart(element, [end, columns]) {
  const { left, bottom, top } = CHART, { width, height } = element.getBoundingClientRect();
  if (!width) return;
  const inner = width - left, tall = height - top - bottom, step = inner / columns.length;
  const sums = columns.map((column) => Object.values(column).reduce((sum, value) => sum + value, 0));
  const most = nice(Math.max(1, ...sums));
  const y = (value) => top + tall * (1 - value / most);
  const parts = [];
  for (const part of [0, 0.5, 1]) {
    parts.push(shape("line", { class: "grid", x1: left, x2: width, y1: y(most * part), y2: y(most * part) }));
    parts.push(label(left - 6, y(most * part) + 3.5, trim(most * part), "end"));
  }
  for (const minutes of width > 480 ? [5, 4, 3, 2, 1] : [4, 2]) {
    parts.push(label(left + inner * (1 - minutes / 5), height - 6, `−${minutes} min`, "start"));
  }
  parts.push(label(width, height - 6, "now", "end"));
  columns.forEach((column, index) => parts.push(stack(column, left + index * step, step, y, tall, end - (columns.length - index) * 5000)));
  element.setAttribute("viewBox", `0 0 ${width} ${height}`);
  element.replaceChildren(...parts);
}

function stack(column, x, step, y, tall, at) {
  const group = shape("g", { class: "column" });
  group.append(shape("rect", { class: "hit", x, y: CHART.top, width: step, height: tall }));
  let sum = 0;
  for (const [outcome] of outcomes()) {
    const value = column[outcome];
    if (!value) continue;
    const upper = y(sum + value);
    group.append(shape("rect", { class: outcome, x: x + 0.75, y: upper, width: Math.max(1, step - 1.5), height: y(sum) - upper }));
    sum += value;
  }
  group.addEventListener("pointerenter", () => tell(new Date(at), column, sum));
  group.addEventListener("pointerleave", () => { document.getElementById("tip").hidden = true; });
  return group;
}

function tell(at, column, sum) {
  const tip = document.getElementById("tip");
  const told = outcomes().filter(([outcome]) => column[outcome]).map(([outcome, word]) => `${word} ${trim(column[outcome])}`);
  tip.textContent = `${at.toLocaleTimeString()} · ${trim(sum)} frames/s${told.length ? ": " + told.join(", ") : ""}`;
  tip.hidden = false;
}

function label(x, y, text, anchor) {
  const element = shape("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

const trim = (value) => String(Math.round(value * 10) / 10);

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value);
}

// ---- pictures ----

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const camera = cameras.get(entry.target.dataset.camera);
    if (camera && camera.card === entry.target) camera.visible = entry.isIntersecting;
  }
  look();
}, { rootMargin: "200px" });

function findCameras() {
  watcher.disconnect();
  const before = new Map(cameras);
  cameras.clear();
  for (const card of all("[data-camera]")) {
    const name = card.dataset.camera, old = before.get(name);
    cameras.set(name, {
      card, image: card.querySelector("img"), visible: true, loading: false, shown: 0, newest: old ? old.newest : 0,
    });
    watcher.observe(card);
    show(name);
  }
}

function look() {
  const names = [...cameras].filter(([, camera]) => camera.visible).map(([name]) => name).slice(0, 64);
  if (document.hidden || !names.length) return;
  const query = names.map((name) => `camera=${encodeURIComponent(name)}`).join("&");
  fetch(`/ui/look?${query}`, { method: "POST" }).catch(() => {});
}

function show(name) {
  const camera = cameras.get(name);
  if (!camera || camera.loading || !camera.visible || document.hidden || camera.newest <= camera.shown) return;
  const wanted = camera.newest, next = new Image();
  camera.loading = true;
  const done = () => { camera.loading = false; camera.shown = wanted; show(name); };
  next.alt = camera.image.alt;
  next.dataset.number = wanted;
  next.onload = () => { camera.image.replaceWith(next); camera.image = next; done(); };
  next.onerror = done;
  next.src = `/ui/pictures/${encodeURIComponent(name)}?n=${wanted}`;
}

// ---- the switch ----

document.addEventListener("change", async (event) => {
  const input = event.target;
  if (!input.dataset.slowDown) return;
  input.disabled = true;
  try {
    await slowDown(input.dataset.slowDown, input.checked ? input.dataset.by : "0s");
  } catch (error) {
    input.checked = !input.checked;
    toast(error.message);
  } finally {
    input.disabled = false;
  }
});

async function slowDown(node, by) {
  const url = `/api/v1/nodes/${encodeURIComponent(node)}`;
  const stored = await answer(await fetch(url));
  const { name, labels, annotations } = stored.metadata;
  const body = { kind: "Node", metadata: { name, labels, annotations }, spec: { ...stored.spec, slowDown: by } };
  await answer(await fetch(url, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

async function answer(response) {
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ? said.error.message : `the control plane answered ${response.status}`);
}

function toast(text) {
  const element = document.getElementById("toast");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { element.hidden = true; }, 8000);
}

// ---- the board ----

let wanted = ""; // the newest shape told
let rebuilding = false;

// What is shown stays until a new board came, however long that takes.
async function rebuild(shape) {
  wanted = shape;
  if (rebuilding) return; // the one under way will see it
  rebuilding = true;
  try {
    while (document.getElementById("board").dataset.shape !== wanted) {
      const asked = wanted, fresh = await newBoard();
      connection("board", fresh !== null);
      if (fresh) replaceBoard(fresh); else await pause(TRY_AGAIN);
      if (fresh && asked === wanted) break; // as new as can be, whatever it was rendered for
    }
  } finally { rebuilding = false; }
}

// As rendered now, or null when it can't be had. Who is signed out goes to sign in.
async function newBoard() {
  try {
    const response = await fetch("/", { headers: { Accept: "text/html" } });
    if (response.redirected) location.reload();
    if (response.redirected || !response.ok) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html").getElementById("board");
  } catch { return null; }
}

function replaceBoard(fresh) {
  document.getElementById("board").replaceWith(document.adoptNode(fresh));
  apply({ ...known });
  findCameras();
  look();
}

// ---- the stream ----

const well = { stream: false, board: true };

function connection(part, is) {
  well[part] = is;
  const live = well.stream && well.board;
  document.getElementById("link").dataset.is = live ? "live" : "lost";
  document.getElementById("link-text").textContent = live ? "live" : "reconnecting";
}

function listen() {
  const stream = new EventSource("/api/v1/events/stream");
  stream.addEventListener("open", () => {
    connection("stream", true);
    for (const camera of cameras.values()) camera.newest = camera.shown = 0; // a new process counts anew
  });
  stream.addEventListener("values", (event) => { apply(JSON.parse(event.data)); });
  stream.addEventListener("pictures", (event) => {
    for (const [name, number] of Object.entries(JSON.parse(event.data))) {
      const camera = cameras.get(name);
      if (camera) { camera.newest = number; show(name); }
    }
  });
  stream.addEventListener("shape", (event) => { rebuild(JSON.parse(event.data)); });
  stream.addEventListener("error", () => {
    connection("stream", false);
    if (stream.readyState === EventSource.CLOSED) { setTimeout(listen, 3000); signedOut(); }
  });
}

async function signedOut() {
  const response = await fetch("/").catch(() => null);
  if (response && response.redirected) location.reload();
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) { look(); for (const name of cameras.keys()) show(name); } });
addEventListener("resize", () => { for (const element of all("[data-chart]")) if (known.chart) drawChart(element, known.chart); });
setInterval(look, LOOK_EVERY);
findCameras();
listen();
