// Moments in the time zone of whoever reads: [data-local="time|day|minute"] with data-at (RFC 3339). The server writes UTC
// and says so; that stands where there is no script. [data-zone] names the zone.

const WRITE = {
  time: (at) => at.toLocaleTimeString("sv-SE"), // ISO's order, which every reader can read
  day: (at) => at.toLocaleDateString("en-GB", { day: "2-digit", month: "short" }),
  minute: (at) => `${at.toLocaleDateString("sv-SE")} ${at.toLocaleTimeString("sv-SE").slice(0, 5)}`,
};

export function localise() {
  for (const element of document.querySelectorAll("[data-local]")) {
    element.textContent = WRITE[element.dataset.local](new Date(element.dataset.at));
    element.title = element.dataset.at;
  }
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const element of document.querySelectorAll("[data-zone]")) element.textContent = zone;
}
