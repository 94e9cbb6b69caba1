// Before anything is drawn: the theme that somebody chose on this browser; without a choice the system's.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("longshore-theme"); } catch { /* a browser that keeps nothing */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
