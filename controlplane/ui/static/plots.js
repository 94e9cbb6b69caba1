// What a plot shows where the pointer is: the nearest point of each line. Read from the page, so it works on what came last.

function nearest(points, x) {
  return points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
}

const number = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString() : String(Number(value.toPrecision(3))));

function tell(plot, event) {
  const picture = plot.querySelector("svg"), box = picture.getBoundingClientRect(), tip = plot.querySelector(".tip");
  const [left, right] = JSON.parse(plot.dataset.plot), part = (event.clientX - box.left) / box.width;
  if (part < 0 || part > 1) { hide(plot); return; }
  const lines = [...picture.querySelectorAll("path")].map((path) => [path.dataset.name, nearest(JSON.parse(path.dataset.points), left + part * (right - left))]);
  const step = document.createElement("b"), at = picture.querySelector(".plot-at");
  step.textContent = `step ${Math.round(lines[0][1][0]).toLocaleString()}`;
  tip.replaceChildren(step, ...lines.map(([name, point]) => {
    const line = document.createElement("span"), value = document.createElement("i");
    line.textContent = name;
    value.textContent = number(point[1]);
    line.append(value);
    return line;
  }));
  at.setAttribute("x1", part * 1000);
  at.setAttribute("x2", part * 1000);
  at.setAttribute("visibility", "visible");
  tip.classList.toggle("at-left", part > 0.5);
  tip.hidden = false;
}

function hide(plot) {
  plot.querySelector(".tip").hidden = true;
  plot.querySelector(".plot-at").setAttribute("visibility", "hidden");
}

document.addEventListener("pointermove", (event) => {
  const over = event.target.closest("[data-plot]");
  for (const plot of document.querySelectorAll("[data-plot]")) if (plot === over) tell(plot, event); else hide(plot);
});
