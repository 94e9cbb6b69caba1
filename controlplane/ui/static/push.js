// Pushing a release from the page, as `longshore push` does it: first whether the version is taken, then each file by its
// digest in pieces, from where the control plane stands, then the manifest's very bytes. What breaks goes on; what is
// refused is told in the service's own words, which also proves every digest.

import { call, toastThere } from "./api.js";
import { opened } from "./parcels.js";

const PIECE = 2 << 20; // bytes
const MOST_CHECKED = 128 << 20; // bytes of a file whose digest is read here: all of it is in memory for that
const PAUSES = [200, 500, 1000, 2000, 4000, 8000, 15000]; // ms, without any progress in between
const MANIFEST_TYPE = "application/vnd.longshore.manifest+json";
const by = (id) => document.getElementById(id);
let chosen = null; // the release to push
let going = null; // what aborts a push

document.addEventListener("change", async (event) => {
  const { id, files } = event.target;
  if ((id !== "push-folder" && id !== "push-files") || !files.length) return;
  told("");
  try {
    chosen = await opened(files);
    describe(chosen.said);
  } catch (error) { chosen = null; by("push-chosen").textContent = ""; told(error.message); }
  by("push-start").disabled = !chosen;
});

document.addEventListener("submit", async (event) => {
  if (event.target.id !== "push-form") return;
  event.preventDefault();
  if (!chosen || going) return;
  going = new AbortController();
  busy(true);
  try { await push(chosen, going.signal); } catch (error) { if (error.name !== "AbortError") told(error.message); } finally { going = null; busy(false); }
});

// Closing the dialog ends a push; what came so far stays, and the next push goes on from there.
document.addEventListener("close", (event) => { if (event.target.id === "push" && going) going.abort(); }, true);
addEventListener("beforeunload", (event) => { if (going) event.preventDefault(); });

function describe({ name, version, files }) {
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  by("push-chosen").textContent = `${name} ${version}: ${files.length} files, ${size(bytes)}`;
}

function busy(is) {
  by("push-going").hidden = !is;
  for (const id of ["push-start", "push-folder", "push-files"]) by(id).disabled = is;
}

// As it is: a sentence may begin with the name of a file or model.
function told(sentence) { by("push-error").textContent = sentence; }

// ---- the push ----

async function push(release, signal) {
  const { name, version, files } = release.said;
  told("");
  const taken = await listed(name, version, signal);
  if (!taken) {
    const all = files.reduce((sum, file) => sum + file.size, 0);
    let before = 0;
    progress("checking", 1, 1);
    for (const entry of files) await check(release, entry);
    for (const entry of files) {
      await send(entry, release.find(entry.path), (done) => progress(entry.path, before + done, all), signal);
      before += entry.size;
    }
  }
  progress("the control plane looks into it", 1, 1);
  const [answer, isNew] = await made(release.manifest, signal);
  going = null;
  toastThere(isNew ? "Pushed" : "The registry has this very release already");
  location.assign(`/releases/${encodeURIComponent(answer.metadata.name)}`);
}

// Whether something lies under this version; the answer to the manifest says whether it is the same.
async function listed(name, version, signal) {
  const { items } = await (await call("GET", "/api/v1/releases", { signal })).json();
  return items.some(({ spec }) => spec.model === name && spec.version === version);
}

// Refuse here what the control plane would refuse after all of it came; of large files it alone reads the digest.
async function check(release, { path, size: wanted, sha256 }) {
  const file = release.find(path);
  if (!file) throw new Error(`${path} is named in the manifest and was not chosen; choose all of the release`);
  const read = file.size === wanted && wanted <= MOST_CHECKED && crypto.subtle;
  const digest = read ? new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())) : null;
  const other = digest && [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") !== sha256;
  if (file.size !== wanted || other) throw new Error(`${path} was changed after the release was packaged; package it again`);
}

// From where the control plane stands to the end, over breaks of the wire.
async function send(entry, file, told, signal) {
  let failures = 0, reached = 0;
  for (;;) {
    const before = reached;
    try {
      await pieces(entry, file, (done) => { reached = Math.max(reached, done); told(reached); }, signal);
      return;
    } catch (error) {
      if (!passing(error)) throw error;
      failures = reached === before ? failures + 1 : 1;
      if (failures > PAUSES.length) throw error;
      await pause(PAUSES[failures - 1], signal);
    }
  }
}

// It may pass: nobody answered, too busy, or the upload stands elsewhere or was given up and is to be begun anew.
const passing = ({ status }) => status === 0 || status === 404 || status === 409 || status === 429 || status >= 502;

async function pieces({ sha256, size: whole }, file, told, signal) {
  const json = { "Content-Type": "application/json" };
  let state = await (await call("POST", "/api/v1/uploads", { headers: json, body: JSON.stringify({ sha256, size: whole }), signal })).json();
  while (!state.complete) {
    const headers = { "Upload-Offset": String(state.offset), "Content-Type": "application/offset+octet-stream" };
    const body = file.slice(state.offset, state.offset + PIECE);
    state = await (await call("PATCH", `/api/v1/uploads/${state.id}`, { headers, body, signal })).json();
    told(state.offset);
  }
  told(whole);
}

async function made(manifest, signal) {
  for (let failures = 0; ; failures++) {
    try {
      const response = await call("POST", "/api/v1/releases", { headers: { "Content-Type": MANIFEST_TYPE }, body: manifest, signal });
      return [await response.json(), response.status === 201];
    } catch (error) {
      if ((error.status !== 0 && error.status !== 503) || failures === PAUSES.length) throw error;
      await pause(PAUSES[failures], signal);
    }
  }
}

const pause = (ms, signal) => new Promise((done, refused) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); refused(signal.reason); }, { once: true });
});

// ---- showing ----

function progress(what, done, all) {
  by("push-bar").setAttribute("width", all ? 100 * done / all : 100);
  by("push-doing").textContent = all > 1 ? `${what}: ${size(done)} of ${size(all)}` : what;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let step = 0, count = bytes;
  while (count >= 1024 && step < units.length - 1) { count /= 1024; step++; }
  return `${step && count < 9.95 ? count.toFixed(1) : Math.round(count)} ${units[step]}`;
}
