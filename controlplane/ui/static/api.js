// Asking the REST API with the session of this browser, and telling what came of it.

// The response of a request that was taken. Throws an Error in the service's own words, with its `status`, 0 for no answer.
export async function call(method, path, options = {}) {
  let response;
  try { response = await fetch(path, { method, ...options }); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw refusal("the control plane does not answer; try again in a moment", 0);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw refusal(said.error ? said.error.message : `the control plane answered ${response.status}`, response.status);
}

const refusal = (sentence, status) => Object.assign(new Error(sentence), { status });

export async function ask(method, path, body) {
  const options = { headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await call(method, path, options);
  return response.status === 204 ? null : response.json();
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
