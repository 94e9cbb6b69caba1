// The form of a deployment: what it would choose and the same as a file, while one types; applied by a PUT like any other.

import { ask, toastThere } from "./api.js";

const form = document.getElementById("deployment-form");
const by = (id) => document.getElementById(id);
let last = null; // the newest answer of the preview
let asked = 0;

const chosen = () => form.elements.release.selectedOptions[0];

function fields() {
  const { model, version } = chosen().dataset;
  const texts = ["name", "nodeSelector", "cameraSelector", "cloudSelector", "deadline", "latencyBudget", "uplink", "jpegQuality", "minScore", "detectionsPerSecond", "shadow", "shadowShare", "downloadRate", "downloadWindow", "downloadJitter", "termsValues", "termsCameraValues", "termsMoney", "termsPower", "termsCarbon", "termsData", "termsCloud", "termsGrid", "termsFloorRate", "termsStays"];
  const read = Object.fromEntries(texts.map((name) => [name, form.elements[name].value.trim()]));
  const classes = [...by("classes").querySelectorAll("[aria-pressed=true]")].map((chip) => chip.textContent);
  const switches = Object.fromEntries(["offload", "events", "termsSafety"].map((name) => [name, form.elements[name].checked]));
  return { ...read, ...switches, model, version, classes };
}

// ---- the preview ----

async function preview() {
  const number = ++asked;
  try {
    const answer = await ask("POST", "/ui/deployments/preview", fields());
    if (number !== asked) return; // a newer one is under way
    last = answer;
    by("yaml").textContent = answer.yaml;
    by("copy-yaml").dataset.copy = answer.yaml;
    problem(answer.problem);
    if (answer.html) by("preview").innerHTML = answer.html;
  } catch (error) {
    if (number === asked) { last = null; problem(error.message); }
  }
  press();
}

let typing;
function soon() { clearTimeout(typing); typing = setTimeout(preview, 200); }

function problem(text) {
  by("form-error").textContent = text ? text.charAt(0).toUpperCase() + text.slice(1) : "";
}

// ---- labels and classes to click on ----

function press() {
  for (const chip of form.querySelectorAll("[data-add]")) {
    const terms = form.elements[chip.dataset.for].value.split(",").map((term) => term.trim());
    chip.setAttribute("aria-pressed", String(terms.includes(chip.dataset.add)));
  }
}

function add(chip) {
  const field = form.elements[chip.dataset.for];
  const terms = field.value.split(",").map((term) => term.trim()).filter(Boolean);
  const kept = terms.filter((term) => term !== chip.dataset.add);
  field.value = (kept.length === terms.length ? [...terms, chip.dataset.add] : kept).join(",");
  press();
  soon();
}

function classes() {
  const place = by("classes"), list = place.querySelector(".chips"), wanted = JSON.parse(place.dataset.chosen);
  const names = JSON.parse(chosen().dataset.classes);
  place.hidden = !names.length;
  list.replaceChildren(...names.map((name) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = name;
    chip.setAttribute("aria-pressed", String(wanted.includes(name)));
    chip.addEventListener("click", () => { chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true")); keep(); soon(); });
    return chip;
  }));
}

function keep() { by("classes").dataset.chosen = JSON.stringify(fields().classes); }

// ---- applying ----

async function apply(event) {
  event.preventDefault();
  clearTimeout(typing);
  await preview();
  if (!last || last.problem) return;
  const name = form.elements.name.value.trim(), button = by("apply");
  if (!name) { problem("give the deployment a name"); form.elements.name.focus(); return; }
  button.disabled = true;
  try {
    if (!form.dataset.editing) await free(name);
    const metadata = form.dataset.editing ? JSON.parse(form.dataset.metadata) : { name };
    await ask("PUT", `/api/v1/deployments/${encodeURIComponent(name)}`, { ...last.document, metadata });
    toastThere(form.dataset.editing ? "Changes applied" : "Deployed");
    location.assign(`/deployments/${encodeURIComponent(name)}`);
  } catch (error) { problem(error.message); } finally { button.disabled = false; }
}

// A new deployment must not take the place of another one.
async function free(name) {
  const { items } = await ask("GET", "/api/v1/deployments");
  if (items.some((each) => each.metadata.name === name)) throw new Error(`there is a deployment ${name} already; edit that one, or take another name`);
}

function offload() { by("offload-fields").hidden = !form.elements.offload.checked; }

if (form) {
  form.addEventListener("input", () => { offload(); press(); soon(); });
  form.elements.release.addEventListener("change", () => { classes(); soon(); });
  form.addEventListener("click", (event) => { const chip = event.target.closest("[data-add]"); if (chip) add(chip); });
  form.addEventListener("submit", apply);
  classes();
  offload();
  preview();
}
