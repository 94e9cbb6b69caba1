// Values come by key; elements say with data attributes which they show:
//   data-text, data-state (as data-is), data-shown, data-value, data-bar, data-chart, data-table, data-plot, data-width, data-from-right,
//   data-checked; data-rows: a list of objects, one copy of the <template> inside for each, whose elements name their field
//   with data-field (text), data-field-is, data-field-href or data-field-moment.

import { drawBar, drawChart } from "./charts.js";
import { drawPlot } from "./plots.js";
import { drawTable } from "./tables.js";

export const known = {};

const SHOW = {
  "data-text": (element, value) => {
    if (element.textContent !== String(value)) element.textContent = value;
    element.toggleAttribute("data-none", value === "–"); // what is not known has no unit
  },
  "data-state": (element, value) => { element.dataset.is = value; },
  "data-shown": (element, value) => { element.hidden = !value; },
  "data-value": (element, value) => { element.value = value; },
  "data-bar": (element, value) => drawBar(element, value),
  "data-chart": (element, value) => drawChart(element, value),
  "data-table": (element) => drawTable(element, known),
  "data-plot": (element, value) => drawPlot(element, value),
  "data-width": (element, value) => element.setAttribute("width", value),
  "data-from-right": (element, value) => { element.setAttribute("x", 100 - value); element.setAttribute("width", value); },
  "data-rows": (element, value) => drawRows(element, value),
  "data-checked": (element, value) => { if (!element.disabled || "showsOnly" in element.dataset) element.checked = value; },
};

export function apply(values) {
  Object.assign(known, values);
  for (const [attribute, show] of Object.entries(SHOW)) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      const key = element.getAttribute(attribute);
      if (key in values) show(element, values[key]);
    }
  }
}

// Rows that are there are filled anew, so that who points at one goes on doing so.
function drawRows(element, rows) {
  const template = element.querySelector(":scope > template"), there = [...element.children].filter((child) => child !== template);
  for (const row of there.splice(rows.length)) row.remove();
  for (const fields of rows.slice(there.length)) {
    const row = template.content.firstElementChild.cloneNode(true);
    there.push(row);
    element.append(row);
    fill(row, fields);
  }
  there.forEach((row, index) => fill(row, rows[index]));
}

function fill(row, fields) {
  for (const element of [row, ...row.querySelectorAll("*")]) {
    const { field, fieldIs, fieldHref, fieldMoment } = element.dataset;
    if (field && element.textContent !== String(fields[field])) element.textContent = fields[field];
    if (fieldIs) element.dataset.is = fields[fieldIs];
    if (fieldHref && element.getAttribute("href") !== fields[fieldHref]) element.setAttribute("href", fields[fieldHref]);
    if (fieldMoment && element.dateTime !== fields[fieldMoment]) { element.dateTime = fields[fieldMoment]; element.title = fields[fieldMoment]; }
  }
}

export function forget() {
  for (const key of Object.keys(known)) delete known[key];
}

let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    for (const element of document.querySelectorAll("[data-chart]")) {
      if (element.dataset.chart in known) drawChart(element, known[element.dataset.chart]);
    }
  }, 60);
});
