// What charts on one axis show, as a table: <details data-table="KEY"> in their [data-together], where KEY is of the stack
// among them. A row for each column, newest first; of the charts only what occurs has one. It is made while it is open.

export function drawTable(details, known) {
  details.ontoggle = () => drawTable(details, known);
  const { end, step, columns } = known[details.dataset.table] || {};
  if (!details.open || !columns) return;
  const told = [...details.closest("[data-together]").querySelectorAll(".drawn [data-chart]")].flatMap((svg) => seriesOf(svg, known[svg.dataset.chart]));
  const rows = columns.map((_, index) => [moment(end - (columns.length - index) * step, step * columns.length), ...told.map(({ at }) => at(index))]);
  const table = made("table", made("caption", "From each moment on, newest first"), made("thead", line("th", ["From", ...told.map(({ head }) => head)], "col")), made("tbody", ...rows.reverse().map((row) => line("td", row))));
  table.className = "table over";
  table.caption.className = "spoken";
  const place = details.querySelector("div"), { scrollLeft, scrollTop } = place;
  place.replaceChildren(table);
  Object.assign(place, { scrollLeft, scrollTop });
}

function seriesOf(svg, value) {
  if (!value || !svg.getClientRects().length) return [];
  const box = svg.closest(".chart-box"), title = svg.closest(".drawn").querySelector("h3").firstChild.textContent.trim();
  const words = new Map([...box.querySelectorAll("[data-series]")].map((item) => [item.dataset.series, item]));
  if (svg.dataset.kind === "band") return [{ head: title, at: (index) => (value.cells[index] ? words.get(value.cells[index][0]).textContent.trim() : "–") }];
  const cell = svg.dataset.kind === "stack" ? (name, index) => value.columns[index][name] || 0 : (name, index) => value.lines[name][index][1];
  return [...words].filter(([, item]) => !item.hidden)
    .map(([name, item]) => ({ head: `${title}: ${item.textContent.trim()}, ${box.dataset.unit}`, at: (index) => figure(cell(name, index)) }));
}

const figure = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(3))));
const moment = (at, length) => (length < 86_400_000 ? new Date(at).toLocaleTimeString() : new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));

function made(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

function line(kind, texts, scope = "") {
  return made("tr", ...texts.map((text) => Object.assign(made(kind, text), scope ? { scope } : {})));
}
