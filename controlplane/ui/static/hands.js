// Whether a hand is on the page: a pressed button or key, an open list of choices. What is replaced below it loses the
// click, so a new main part waits for it.

const LONGEST = 30_000; // ms; a release that is never told does not stop the page
const AGAIN = 50; // ms
let since = null; // when the hand came down

function down() { since = performance.now(); }
function up() { setTimeout(() => { since = null; }, 0); } // the click comes first

addEventListener("pointerdown", (event) => { if (event.button === 0) down(); }, true); // the others open menus, which tell no end
for (const ends of ["pointerup", "pointercancel"]) addEventListener(ends, up, true);
addEventListener("keydown", (event) => { if (event.key === " " && !event.repeat) down(); }, true); // a button acts when Space comes up
addEventListener("keyup", (event) => { if (event.key === " ") up(); }, true);
addEventListener("blur", up); // of the window

const chooses = CSS.supports("selector(select:open)") ? () => document.querySelector("select:open") !== null : () => false;
const holds = () => chooses() || (since !== null && performance.now() - since < LONGEST);

// Comes once no hand is on the page.
export async function free() {
  while (holds()) await new Promise((done) => { setTimeout(done, AGAIN); });
}
