// Objects written as text: the control plane reads the text, and each object goes to its own address, one after another.

import { ask, call } from "./api.js";

const form = document.getElementById("apply-form");
const by = (id) => document.getElementById(id);

function told(text, is) {
  const line = document.createElement("li");
  line.textContent = text;
  line.dataset.is = is;
  by("applied").append(line);
}

async function write({ label, path, document: body }) {
  try {
    const options = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await call("PUT", path, options);
    told(`${label} ${response.headers.get("Longshore-Change") || "applied"}`, "well");
  } catch (error) { told(`${label} refused: ${error.message}`, "bad"); }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  by("form-error").textContent = "";
  by("applied").replaceChildren();
  by("apply").disabled = true;
  try {
    for (const each of await ask("POST", "/ui/documents", { text: by("objects").value })) await write(each);
  } catch (error) { by("form-error").textContent = error.message; }
  by("apply").disabled = false;
});
