// The page of a box: pausing it, and its log as it is written.

import { toast } from "./api.js";
import { changeNode } from "./forms.js";
import { onBoard } from "./stream.js";

const MOST = 300; // lines kept
const WAIT = 8; // s that one question waits for a line
const AGAIN = 3_000; // ms, after the control plane could not answer
const lines = [];
let after = 0, seen = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-pause]");
  if (!button) return;
  const paused = button.dataset.paused !== "yes";
  button.disabled = true;
  try {
    await changeNode(button.dataset.pause, { paused });
    toast(paused ? "Paused: its cameras are not read now" : "Resumed");
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    button.disabled = false;
  }
});

// ---- the log ----

const place = () => document.querySelector("[data-log]");
const watcher = new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; });

onBoard(() => {
  watcher.disconnect();
  watcher.observe(place());
  if (lines.length) show(lines);
});

function show(fresh) {
  const element = place(), follows = element.scrollTop + element.clientHeight >= element.scrollHeight - 30;
  if (element.querySelector("p.small")) element.replaceChildren();
  element.append(...fresh.map(lineOf));
  while (element.children.length > MOST) element.firstElementChild.remove();
  if (follows) element.scrollTop = element.scrollHeight;
}

function lineOf({ time, level, logger, message }) {
  const row = document.createElement("p"), at = document.createElement("time"), from = document.createElement("b");
  at.dateTime = time;
  at.textContent = new Date(time).toLocaleTimeString();
  from.textContent = logger.replace(/^agent\./, "");
  row.dataset.level = level.toLowerCase();
  row.append(at, " ", from, " ", message);
  return row;
}

async function follow() {
  for (;;) {
    if (!seen || document.hidden) { await new Promise((done) => { setTimeout(done, 500); }); continue; }
    try {
      const response = await fetch(`/api/v1/nodes/${encodeURIComponent(place().dataset.log)}/logs?after=${after}&wait=${WAIT}`);
      if (!response.ok) throw new Error();
      const fresh = (await response.json()).items;
      if (!fresh.length) continue;
      after = fresh.at(-1).number;
      lines.push(...fresh);
      lines.splice(0, Math.max(0, lines.length - MOST));
      show(fresh);
    } catch { await new Promise((done) => { setTimeout(done, AGAIN); }); }
  }
}

follow();
