// What a person's hands do: the carton with its label, the button, the plug.
import { t } from "./words.js";
import { post, say } from "./say.js";
import { scanUrl } from "./scan.js";

const $ = (id) => document.getElementById(id);
const SIZES = [["small", 150], ["medium", 300], ["big", 900], ["light", 5], ["stone", 4000], ["own", 0]];
let chosen = "medium";
let waybill = "";
let inside = false;
let state = null;

function newCarton() {
  const digits = crypto.getRandomValues(new Uint32Array(13));
  waybill = "SF" + [...digits].map((n) => n % 10).join("");
  inside = false;
  $("label").src = `/api/qr.png?text=${waybill}`;
  show();
}

// Grams of the chosen carton; null, after saying so, when its own mass is none.
export function mass() {
  const own = Number($("own").value);
  if (chosen === "own" && !$("own").checkValidity()) {
    say(t("badMass"), "bad");
    return null;
  }
  return chosen === "own" ? own : SIZES.find(([name]) => name === chosen)[1];
}

// The carton has gone into the bin, or it is back.
export function inHands(is) {
  inside = !is;
  show();
}

function show() {
  $("waybill").textContent = waybill;
  $("label").alt = t("labelAlt", waybill);
  $("put").disabled = inside;
  $("new-carton").classList.toggle("main", inside);
  $("carton-card").classList.toggle("used", inside);
  document.querySelector(".own").hidden = chosen !== "own";
}

export function wordsOfHands() {
  for (const input of document.querySelectorAll("#sizes input")) {
    input.nextElementSibling.textContent = t(input.value);
  }
  show();
  if (state) switches(state);
}

export function switches(now) {
  state = now;
  $("wifi").textContent = t(now.wifi.on ? "wifiOff" : "wifiOn");
  $("power").textContent = t(now.powered ? "powerOff" : "powerOn");
  $("take").disabled = $("empty").disabled = now.cartons.length === 0;
}

export async function act(path, body, done) {
  const answer = await post(path, body);
  if (answer) say(done(answer), "good");
  return answer;
}

export function prepareHands() {
  for (const [name] of SIZES) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "radio";
    input.name = "size";
    input.value = name;
    input.checked = name === chosen;
    input.addEventListener("change", () => {
      chosen = name;
      if (inside) newCarton(); // another size is another carton, with a label of its own
      show();
    });
    label.append(input, document.createElement("span"));
    $("sizes").append(label);
  }
  newCarton();
  $("new-carton").addEventListener("click", newCarton);
  $("scan-label").addEventListener("click", async () => {
    await scanUrl($("label").src);
  });
  $("put").addEventListener("click", async () => {
    const grams = mass();
    if (grams !== null && (await act("/api/drop", { mass_g: grams }, () => t("putDone")))) {
      inHands(false);
      $("new-carton").focus(); // the button that was pressed is off now: the keyboard goes on here
    }
  });
  for (const id of ["button", "press"]) {
    $(id).addEventListener("click", () => act("/api/button", {}, () => t("pressed")));
  }
  $("take").addEventListener("click", async () => {
    if (await act("/api/take", {}, (a) => t("takeDone", Math.round(a.g)))) inHands(true);
  });
  $("empty").addEventListener("click", () =>
    act("/api/empty", {}, (a) => t("emptyDone", a.cartons)));
  $("wifi").addEventListener("click", () =>
    act("/api/wifi", { on: !state.wifi.on }, (a) => t(a.on ? "wifiIsOn" : "wifiIsOff")));
  $("power").addEventListener("click", () => {
    const word = state.powered ? "plugPulled" : "pluggedIn";
    act("/api/power", { on: !state.powered }, () => t(word));
  });
}
