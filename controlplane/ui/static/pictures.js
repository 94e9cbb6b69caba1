// Pictures of cameras: fetched when the stream says there is a newer one and the camera is on the screen. Only what is on
// the screen is asked for, so that a wall of hundreds costs its boxes what is looked at.

const LOOK_EVERY = 10_000; // ms; a box streams for 30 s after somebody looked
const MOST = 64;
const cameras = new Map(); // name -> {card, image, visible, newest, shown, loading}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const camera = cameras.get(entry.target.dataset.camera);
    if (!camera || camera.card !== entry.target) continue;
    camera.visible = entry.isIntersecting;
    if (camera.visible) show(entry.target.dataset.camera);
  }
  look();
}, { rootMargin: "200px" });

export function findCameras() {
  watcher.disconnect();
  const before = new Map(cameras);
  cameras.clear();
  for (const card of document.querySelectorAll("[data-camera]")) {
    const name = card.dataset.camera, old = before.get(name);
    cameras.set(name, { card, image: card.querySelector("img"), visible: false, loading: false, shown: 0, newest: old ? old.newest : 0 });
    if (old && old.image.src) keep(cameras.get(name), old);
    watcher.observe(card);
  }
}

// The picture that stood there stays while the page around it is new.
function keep(camera, old) {
  old.image.alt = camera.image.alt;
  camera.image.replaceWith(old.image);
  camera.image = old.image;
}

export function look() {
  const names = [...cameras].filter(([, camera]) => camera.visible).map(([name]) => name).slice(0, MOST);
  if (document.hidden || !names.length) return;
  const query = names.map((name) => `camera=${encodeURIComponent(name)}`).join("&");
  fetch(`/ui/look?${query}`, { method: "POST" }).catch(() => {});
}

export function newer(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    const camera = cameras.get(name);
    if (camera) { camera.newest = number; show(name); }
  }
}

export function countAnew() {
  for (const camera of cameras.values()) camera.newest = camera.shown = 0;
}

function show(name) {
  const camera = cameras.get(name);
  if (!camera || camera.loading || !camera.visible || document.hidden || camera.newest <= camera.shown) return;
  const wanted = camera.newest, next = new Image();
  camera.loading = true;
  const done = () => { camera.loading = false; camera.shown = wanted; show(name); };
  next.alt = camera.image.alt;
  next.dataset.number = wanted;
  next.onload = () => { camera.image.replaceWith(next); camera.image = next; done(); };
  next.onerror = done;
  next.src = `/ui/pictures/${encodeURIComponent(name)}?n=${wanted}`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  look();
  for (const name of cameras.keys()) show(name);
});
setInterval(look, LOOK_EVERY);
