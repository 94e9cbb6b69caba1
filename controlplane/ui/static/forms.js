// What a page lets people do, said by its HTML:
//   <form data-api="PUT /api/v1/…">      sends its fields as JSON; {field} in the path stands for a field. data-base: JSON to
//                                        begin with; a field named spec.rate goes into it. data-as: number, boolean, labels,
//                                        lines, optional (left out when empty). data-then: where to go; else its dialog closes. data-said: what to say.
//   <button data-api=…>                  the same with data-base alone
//   data-dialog="ID", data-close         opens and closes a <dialog>
//   data-confirm="NAME"                  the form's button works once this was typed
//   data-shows="ID"                      instead of closing: shows this element, whose data-template texts take the answer
//   data-copy="TEXT", data-copy-from="ID" copies it, or what stands there
//   <form data-filter>                   its fields become the address as one types
//   data-slow-down="NODE"                the switch of a box

import { ask, toast, toastThere } from "./api.js";
import { go } from "./stream.js";

const READ = {
  number: (field) => (field.value.trim() === "" ? undefined : Number(field.value)),
  boolean: (field) => (field.type === "checkbox" ? field.checked : field.value === "true"),
  labels: (field) => Object.fromEntries(field.value.split(/[\s,]+/).filter(Boolean).map((part) => {
    const cut = part.indexOf("=");
    return cut < 0 ? [part, ""] : [part.slice(0, cut), part.slice(cut + 1)];
  })),
  lines: (field) => field.value.split("\n").map((line) => line.trim()).filter(Boolean),
  json: (field) => JSON.parse(field.value || "null"),
  optional: (field) => field.value.trim() || undefined,
  text: (field) => field.value.trim(),
};

export function bodyOf(form) {
  const body = JSON.parse(form.dataset.base || "{}");
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    put(body, field.name.split("."), READ[field.dataset.as || (field.type === "checkbox" ? "boolean" : "text")](field));
  }
  return body;
}

function put(body, keys, value) {
  const last = keys.pop();
  for (const key of keys) body = body[key] = body[key] || {};
  if (value === undefined) delete body[last]; else body[last] = value;
}

async function send(element, body) {
  const [method, path] = element.dataset.api.split(" ");
  const filled = path.replace(/\{([\w.]+)\}/g, (_, name) => encodeURIComponent(fieldValue(element, name)));
  return ask(method, filled, method === "DELETE" ? undefined : body);
}

const fieldValue = (form, name) => form.elements[name].value.trim();

function done(element, answer) {
  const { then, said } = element.dataset;
  element.dispatchEvent(new CustomEvent("answered", { bubbles: true, detail: answer }));
  if (element.dataset.shows) show(element, document.getElementById(element.dataset.shows), answer);
  if (then) {
    if (said) toastThere(said);
    location.assign(then.replace(/\{([\w.]+)\}/g, (_, name) => encodeURIComponent(fieldValue(element, name))));
    return;
  }
  if (said) toast(said);
  const dialog = element.closest("dialog");
  if (dialog && !("stay" in element.dataset)) dialog.close();
}

function show(form, place, answer) {
  for (const text of place.querySelectorAll("[data-template]")) {
    text.textContent = text.dataset.template.replace(/\{(\w+)\}/g, (_, name) => answer[name]);
  }
  form.hidden = true;
  place.hidden = false;
  place.focus();
  form.closest("dialog").addEventListener("close", () => { form.hidden = false; place.hidden = true; form.reset(); }, { once: true });
}

async function submit(form) {
  const button = form.querySelector("button:not([type=button])"), error = form.querySelector(".form-error");
  if (error) error.textContent = "";
  if (button) button.disabled = true;
  try {
    done(form, await send(form, bodyOf(form)));
  } catch (problem) {
    if (error) error.textContent = sentence(problem.message); else toast(problem.message, "bad");
  } finally {
    if (button) button.disabled = false;
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

async function press(button) {
  button.disabled = true;
  try {
    done(button, await send(button, JSON.parse(button.dataset.base || "{}")));
  } catch (problem) {
    toast(problem.message, "bad");
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-filter]")) { event.preventDefault(); filter(form); }
  if (!form.dataset.api) return;
  event.preventDefault();
  submit(form);
});

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  const opener = at("[data-dialog]"), copy = at("[data-copy], [data-copy-from]"), button = at("button[data-api]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  if (at("[data-close]")) at("dialog").close();
  if (event.target.matches("dialog[open]")) event.target.close(); // beside it
  if (copy) copied(copy);
  if (button) press(button);
  const link = at("a[data-go]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); go(link.getAttribute("href")); }
});

async function copied(element) {
  const from = element.dataset.copyFrom, text = from ? document.getElementById(from).textContent : element.dataset.copy;
  try { await navigator.clipboard.writeText(text); toast("Copied"); } catch { toast("this browser does not let the page copy; select the text instead", "bad"); }
}

document.addEventListener("input", (event) => {
  const field = event.target;
  if (field.dataset.confirm !== undefined) {
    field.form.querySelector("button:not([type=button])").disabled = field.value !== field.dataset.confirm;
  }
  if (field.form && field.form.matches("[data-filter]")) soon(field.form);
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.form && field.form.matches("[data-filter]")) soon(field.form);
});

let typed;
function soon(form) { clearTimeout(typed); typed = setTimeout(() => filter(form), 250); }

function filter(form) {
  clearTimeout(typed);
  const fields = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  const query = fields.toString();
  go(location.pathname + (query ? `?${query}` : ""));
}

// ---- the switch of a box ----

document.addEventListener("change", async (event) => {
  const input = event.target;
  if (!input.dataset.slowDown) return;
  input.disabled = true;
  try {
    await changeNode(input.dataset.slowDown, { slowDown: input.checked ? input.dataset.by : "0s" });
  } catch (error) {
    input.checked = !input.checked;
    toast(error.message, "bad");
  } finally {
    input.disabled = false;
  }
});

export async function changeNode(node, spec) {
  const path = `/api/v1/nodes/${encodeURIComponent(node)}`, stored = await ask("GET", path);
  const { name, labels, annotations } = stored.metadata;
  await ask("PUT", path, { kind: "Node", metadata: { name, labels, annotations }, spec: { ...stored.spec, ...spec } });
}
