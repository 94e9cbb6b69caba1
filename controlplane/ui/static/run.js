// A run's log as it is written, and where to go when one was started. The page may be made anew at any time, so the text is
// kept here.

import { onBoard } from "./stream.js";

const KEEP = 400_000; // characters: the newest of a long log
const AGAIN = 2_000; // ms, after the control plane could not answer
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
let text = "";
let over = false;

const place = () => document.getElementById("run-log");

function show() {
  const log = place();
  if (!log) return;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40 || !log.textContent;
  log.textContent = text || (over ? "It wrote no log." : "Nothing written yet.");
  document.getElementById("log-state").textContent = over ? "complete" : "as it is written";
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function follow(name) {
  const path = `/api/v1/runs/${encodeURIComponent(name)}/log`;
  let at = 0;
  while (!over && place()) {
    if (document.hidden) { await pause(1_000); continue; }
    try {
      const answer = await fetch(`${path}?offset=${at}&wait=5`);
      if (answer.status === 404 || answer.status === 401) return;
      if (!answer.ok) throw new Error(answer.statusText);
      const more = await answer.text();
      at = Number(answer.headers.get("Longshore-Next"));
      over = answer.headers.get("Longshore-End") === "true";
      if (more) text = (text + more).slice(-KEEP);
      if (more || over) show(); else await pause(300);
    } catch { await pause(AGAIN); }
  }
}

onBoard(show);
if (place()) follow(place().dataset.run);

document.addEventListener("answered", (event) => {
  if ("starts" in event.target.dataset) location.assign(`/runs/${encodeURIComponent(event.detail.metadata.name)}`);
});
