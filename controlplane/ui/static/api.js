// Asking the REST API with the session of this browser, and telling what came of it.

export async function ask(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try { response = await fetch(path, options); } catch { throw new Error("the control plane does not answer; try again in a moment"); }
  if (response.ok) return response.status === 204 ? null : response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ? said.error.message : `the control plane answered ${response.status}`);
}

export function toast(text, is = "well") {
  const element = document.createElement("p");
  element.className = "toast";
  element.dataset.is = is;
  element.textContent = text;
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), is === "bad" ? 9000 : 4000);
}

// A message that shall stand on the page that comes next.
export function toastThere(text) {
  try { sessionStorage.setItem("longshore-said", text); } catch { /* then it is not said */ }
}

try {
  const said = sessionStorage.getItem("longshore-said");
  sessionStorage.removeItem("longshore-said");
  if (said) toast(said);
} catch { /* nothing was said */ }
