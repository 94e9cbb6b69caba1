// The page that is open, kept alive by one event stream. When its shape changes it fetches itself again and replaces its
// main part; what is shown stays until a new one came, however long that takes.

import { free } from "./hands.js";
import { apply, forget, known } from "./values.js";
import { countAnew, findCameras, look, newer } from "./pictures.js";

const TRY_AGAIN = 2_000; // ms, after the control plane could not answer
const well = { stream: false, board: true };
const ready = []; // what else there is to do for a new main part
let wanted = ""; // the newest shape told
let rebuilding = false;
let stream = null;
let dialogs = null; // of the newest main part, while one of those before is open

const board = () => document.getElementById("board");
const address = () => location.pathname + location.search;
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// `act` is called now and whenever the main part was replaced.
export function onBoard(act) {
  ready.push(act);
  act();
}

// Show the page of this kind at another address: a filter, another page of a list.
export function go(to) {
  history.replaceState(null, "", to);
  wanted = "";
  forget();
  listen();
  return rebuild("elsewhere");
}

// ---- a new main part ----

async function rebuild(shape) {
  wanted = shape;
  if (rebuilding) return; // the one under way will see it
  rebuilding = true;
  try {
    while (board().dataset.shape !== wanted) {
      const asked = wanted, fresh = await fetched();
      connection("board", fresh !== null);
      await free();
      if (fresh) replace(fresh); else await pause(TRY_AGAIN);
      if (fresh && asked === wanted) break; // as new as can be, whatever it was rendered for
    }
  } finally { rebuilding = false; }
}

// As rendered now, or null when it can't be had. Who is signed out goes to sign in; what is gone says so.
async function fetched() {
  try {
    const asked = address(), response = await fetch(asked, { headers: { Accept: "text/html" } });
    if (response.redirected || response.status === 404) location.reload();
    if (response.redirected || !response.ok || asked !== address()) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html");
  } catch { return null; }
}

function replace(fresh) {
  const held = hold();
  board().replaceWith(document.adoptNode(fresh.getElementById("board")));
  dialogs = document.adoptNode(fresh.getElementById("dialogs"));
  renewDialogs();
  document.title = fresh.title;
  held();
  apply({ ...known });
  findCameras();
  look();
  for (const act of ready) act();
}

// Nobody loses the dialog they are in: the new ones, which the new main part may ask for, come when it is closed.
function renewDialogs() {
  const before = document.getElementById("dialogs");
  if (!dialogs || before.querySelector("dialog[open]")) return;
  before.replaceWith(dialogs);
  dialogs = null;
}

document.addEventListener("close", () => setTimeout(() => { // what else is done at its end is done first
  if (!dialogs) return;
  renewDialogs();
  for (const act of ready) act();
}), true);

// Who is typing in the main part goes on typing in the new one, and who is on a link or button stays on it.
function hold() {
  const element = document.activeElement;
  if (!element || element === board() || !board().contains(element)) return () => {};
  const { id, value, selectionStart, selectionEnd } = element, place = alike(element).indexOf(element);
  return () => {
    const again = id ? document.getElementById(id) : alike(element)[place];
    if (!again) return;
    if (value !== undefined && again.matches("input, textarea")) again.value = value;
    again.focus({ preventScroll: true });
    if (selectionStart !== undefined && selectionStart !== null) again.setSelectionRange(selectionStart, selectionEnd);
  };
}

// What in the main part one would take for the same thing, in order.
function alike(element) {
  const seen = (each) => `${each.tagName} ${each.getAttribute("href")} ${each.getAttribute("name")} ${each.textContent.trim()}`;
  return [...board().querySelectorAll(element.tagName)].filter((each) => seen(each) === seen(element));
}

// ---- the stream ----

function connection(part, is) {
  well[part] = is;
  const live = well.stream && well.board;
  document.getElementById("link").dataset.is = live ? "live" : "lost";
  const word = live ? "live" : "reconnecting", text = document.getElementById("link-text");
  if (text.textContent !== word) text.textContent = word;
}

export function listen() {
  if (stream) stream.close();
  const opened = stream = new EventSource(`/api/v1/events/stream?page=${encodeURIComponent(address())}`);
  const on = (kind, act) => opened.addEventListener(kind, (event) => { if (opened === stream) act(event); });
  on("open", () => { connection("stream", true); countAnew(); }); // a new process counts anew
  on("values", (event) => apply(JSON.parse(event.data)));
  on("pictures", (event) => newer(JSON.parse(event.data)));
  on("shape", (event) => rebuild(JSON.parse(event.data)));
  on("gone", () => rebuild("gone"));
  on("error", () => {
    connection("stream", false);
    if (opened.readyState === EventSource.CLOSED) { setTimeout(() => { if (opened === stream) listen(); }, 3000); signedOut(); }
  });
}

async function signedOut() {
  const response = await fetch(address()).catch(() => null);
  if (response && response.redirected) location.reload();
}
