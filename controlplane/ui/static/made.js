// What was made and is shown once: a token or a sign-in link, told by the answer of a form or button with data-made.

import { ask, toast } from "./api.js";

const by = (id) => document.getElementById(id);

const MADE = {
  join: (answer) => ({
    sentence: "Run this on the box, within the time you chose:",
    text: `longshore-agent join ${answer.url} --token ${answer.token}`,
    note: "The token lets one box in. It says which control plane is the right one, so nothing else has to be compared.",
  }),
  api: (answer) => ({
    sentence: "The API token. Only its hash is kept here.",
    text: answer.token,
    note: `For a command line: longshore login ${location.origin}, and paste it. In HTTP: Authorization: Bearer …`,
  }),
  link: (answer) => ({
    sentence: "Send this link; it signs one browser in, once.",
    text: answer.url,
    note: `Good until ${new Date(answer.expires).toLocaleTimeString()}.`,
  }),
};

function show({ sentence, text, note }) {
  by("made-sentence").textContent = sentence;
  by("made-text").textContent = text;
  by("made-copy").dataset.copy = text;
  by("made-note").textContent = note;
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  by("made").showModal();
}

document.addEventListener("answered", async (event) => {
  const kind = event.target.dataset.made;
  if (!kind) return;
  try {
    const answer = event.detail;
    if (kind !== "invite") show(MADE[kind](answer));
    else show(MADE.link(await ask("POST", `/api/v1/people/${encodeURIComponent(answer.metadata.name)}/invite`)));
  } catch (error) { toast(error.message, "bad"); }
});

// The secret does not stay in the page.
document.addEventListener("close", (event) => {
  if (event.target.id !== "made") return;
  by("made-text").textContent = "";
  by("made-copy").dataset.copy = "";
}, true);
