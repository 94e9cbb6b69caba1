// Lines over steps, drawn from a value: {lines: [{name, number, path, last, points}], x, y, span}. Texts stand in HTML
// beside a picture that is stretched. Where the pointer is, the nearest point of each line is told.

const SVG = "http://www.w3.org/2000/svg";

function made(name, attributes = {}, ...children) {
  const element = name === "svg" || name === "line" || name === "path" ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function drawPlot(figure, value) {
  const title = figure.dataset.title, head = made("h3", {}, title);
  if (!value.lines) {
    figure.replaceChildren(made("figcaption", {}, head), made("p", { class: "faint nothing" }, "nothing told yet"));
    return;
  }
  const keys = value.lines.map((line) => made("span", { class: "plot-key" }, made("span", { class: `key series-${line.number + 1}` }), `${line.name} `, made("strong", { class: "number" }, line.last)));
  const newest = value.lines.map((line) => `${line.name} ${line.last}`).join(", ");
  const picture = made("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", role: "img", "aria-label": `${title} over steps; newest: ${newest}` },
    ...[0, 250, 500, 750, 1000].map((y) => made("line", { class: "grid", x1: 0, x2: 1000, y1: y, y2: y })),
    ...value.lines.map((line) => made("path", { class: `series-${line.number + 1}`, d: line.path })),
    made("line", { class: "plot-at", x1: 0, x2: 0, y1: 0, y2: 1000, visibility: "hidden" }));
  const ticks = (kind) => made("div", { class: `plot-${kind}`, "aria-hidden": "true" }, ...value[kind].map((tick) => made("span", {}, tick)));
  figure.replaceChildren(made("figcaption", {}, head, ...keys), ticks("y"), picture, ticks("x"), made("div", { class: "tip", hidden: "" }));
  figure.value = value;
}

// ---- where the pointer is ----

const nearest = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
const number = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString() : String(Number(value.toPrecision(3))));

function tell(figure, clientX) {
  const picture = figure.querySelector("svg"), box = picture.getBoundingClientRect(), tip = figure.querySelector(".tip"), { lines, span } = figure.value;
  const part = (clientX - box.left) / box.width;
  if (part < 0 || part > 1) { hide(figure); return; }
  const told = lines.map((line) => [line.name, nearest(line.points, span[0] + part * (span[1] - span[0]))]);
  tip.replaceChildren(made("b", {}, `step ${told[0][1][0].toLocaleString()}`), ...told.map(([name, point]) => made("span", {}, name, made("i", {}, number(point[1])))));
  tip.classList.toggle("at-left", part > 0.5);
  tip.hidden = false;
  const at = picture.querySelector(".plot-at");
  for (const [key, value] of [["x1", part * 1000], ["x2", part * 1000], ["visibility", "visible"]]) at.setAttribute(key, value);
}

function hide(figure) {
  const tip = figure.querySelector(".tip"), at = figure.querySelector(".plot-at");
  if (tip) { tip.hidden = true; at.setAttribute("visibility", "hidden"); }
}

document.addEventListener("pointermove", (event) => {
  const over = event.target.closest ? event.target.closest("[data-plot]") : null;
  for (const figure of document.querySelectorAll("[data-plot]")) if (figure === over && figure.value) tell(figure, event.clientX); else hide(figure);
});
