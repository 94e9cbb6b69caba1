// The frame around pages: the drawer of a narrow screen, the theme, moments that tick.

const side = document.getElementById("side"), menu = document.getElementById("menu");
let veil = null;

function drawer(open) {
  side.classList.toggle("open", open);
  menu.setAttribute("aria-expanded", String(open));
  if (open) {
    veil = document.createElement("div");
    veil.className = "veil";
    veil.addEventListener("click", () => drawer(false));
    side.before(veil);
    side.querySelector(".sections a").focus();
  } else if (veil) {
    veil.remove();
    veil = null;
    menu.focus();
  }
}

menu.addEventListener("click", () => drawer(!side.classList.contains("open")));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && veil) drawer(false); });
side.addEventListener("focusout", (event) => { if (veil && event.relatedTarget && !side.contains(event.relatedTarget)) drawer(false); });

// ---- the theme ----

const THEMES = ["system", "light", "dark"], root = document.documentElement;

function theme(chosen) {
  if (chosen === "system") delete root.dataset.theme; else root.dataset.theme = chosen;
  document.getElementById("theme-word").textContent = chosen;
  try { localStorage.setItem("longshore-theme", chosen); } catch { /* it lasts as long as the page */ }
}

document.getElementById("theme-word").textContent = root.dataset.theme || "system";
document.getElementById("theme").addEventListener("click", () => {
  theme(THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % THEMES.length]);
});

// ---- moments ----

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}

function tick() {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const words = ago(Math.max(0, (Date.now() - Date.parse(element.dateTime)) / 1000));
    if (element.textContent !== words) element.textContent = words;
  }
}

export function ticking() {
  tick();
  setInterval(tick, 1000);
  return tick;
}
