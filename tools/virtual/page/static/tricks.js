// Ways to cheat: a string, two at once, a hand; and the operator's key.
import { t } from "./words.js";
import { scanUrl } from "./scan.js";
import { act, inHands, mass } from "./hands.js";

const $ = (id) => document.getElementById(id);
const TAP_MS = 350; // a shorter press of a hand stays, and the next one lets go
const HANDS = { press: $("hand-press"), lift: $("hand-lift") };
let hand = "";

export function tricks(state) {
  hand = state.hand;
  $("pull").disabled = !state.cartons.some((carton) => carton.string);
  for (const [what, button] of Object.entries(HANDS)) {
    const on = hand === what;
    button.setAttribute("aria-pressed", String(on));
    button.textContent = t(on ? "handOff" : what === "press" ? "handPress" : "handLift");
  }
}

// Put the chosen carton in, in one of the dishonest ways.
async function carton(path, done) {
  const grams = mass();
  if (grams !== null && (await act(path, { mass_g: grams }, () => t(done)))) inHands(false);
}

async function reach(what) {
  const grams = mass();
  if (grams === null) return false;
  const body = { mass_g: grams, steady: $("steady").checked };
  return Boolean(await act(`/api/${what}`, body, () => t(`${what}Done`, grams)));
}

// Hold to press and let go; or tap once to press and once more to let go. Keys do the same.
function holdable(what, button) {
  let reached = null; // while the button is down: whether a hand got there, or "" to let go of one
  let since = 0;
  const begin = () => {
    if (reached !== null) return;
    since = performance.now();
    reached = hand === what ? "" : reach(what);
  };
  const end = async (event) => {
    if (reached === null) return;
    const there = reached;
    reached = null;
    const tapped = performance.now() - since < TAP_MS && event.type !== "pointercancel";
    if (there === "" || ((await there) && !tapped)) act("/api/let-go", {}, () => t("letGoDone"));
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button === 0) begin();
  });
  for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, end);
  for (const name of ["keydown", "keyup"]) {
    button.addEventListener(name, (event) => {
      if (![" ", "Enter"].includes(event.key)) return;
      event.preventDefault();
      if (name === "keyup") end(event);
      else if (!event.repeat) begin();
    });
  }
  button.addEventListener("blur", end);
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
}

export function prepareTricks() {
  for (const [what, button] of Object.entries(HANDS)) holdable(what, button);
  $("lower").addEventListener("click", () => carton("/api/lower", "lowerDone"));
  $("two").addEventListener("click", () => carton("/api/two", "twoDone"));
  $("pull").addEventListener("click", async () => {
    if (await act("/api/pull", {}, (a) => t("pullDone", Math.round(a.g)))) inHands(true);
  });
  $("shake").addEventListener("click", () => act("/api/shake", {}, () => t("shaken")));
  $("show-key").addEventListener("click", () => scanUrl($("key").src));
}
