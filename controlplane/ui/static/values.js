// Values come by key; elements say with data attributes which they show:
//   data-text, data-state (as data-is), data-shown, data-value, data-bar, data-chart, data-plot, data-width, data-from-right,
//   data-checked.

import { drawBar, drawChart } from "./charts.js";
import { drawPlot } from "./plots.js";

export const known = {};

const SHOW = {
  "data-text": (element, value) => { if (element.textContent !== String(value)) element.textContent = value; },
  "data-state": (element, value) => { element.dataset.is = value; },
  "data-shown": (element, value) => { element.hidden = !value; },
  "data-value": (element, value) => { element.value = value; },
  "data-bar": (element, value) => drawBar(element, value),
  "data-chart": (element, value) => drawChart(element, value),
  "data-plot": (element, value) => drawPlot(element, value),
  "data-width": (element, value) => element.setAttribute("width", value),
  "data-from-right": (element, value) => { element.setAttribute("x", 100 - value); element.setAttribute("width", value); },
  "data-checked": (element, value) => { if (!element.disabled) element.checked = value; },
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
