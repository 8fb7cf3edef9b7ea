// The member's phone in a frame beside the bin.
//
// The frame is another origin, and browsers deliver no drag events from there. So the phone's page,
// when it wants to be dragged, says where its picture is moved to by messages:
//   {boxback: "here", enrolled}           it speaks this; answered with {boxback: "hello"}
//   {boxback: "lift", image, x, y}        the pass was picked up; image is a PNG data: URL
//   {boxback: "move"|"drop"|"cancel", x, y}   in pixels of the frame
//   {boxback: "pass", image}              the answer to {boxback: "show"}; "" when it has no pass
// Only messages of the configured origin and of this very frame are heard.
import { t, language } from "./words.js";
import { say } from "./say.js";
import { scanUrl } from "./scan.js";

const $ = (id) => document.getElementById(id);
const MAX_URL = 1_000_000;
let address = null; // of the phone's page
let origin = "";
let image = "";
let enrolTried = false;
let canEnrol = false;

function inside(node, x, y) {
  const box = node.getBoundingClientRect();
  return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
}

function place(message) {
  const box = $("phone-frame").getBoundingClientRect();
  return [box.left + Number(message.x), box.top + Number(message.y)];
}

function move(x, y) {
  const ghost = $("ghost");
  ghost.hidden = false;
  ghost.style.setProperty("--x", `${x}px`);
  ghost.style.setProperty("--y", `${y}px`);
  $("scanner").classList.toggle("aim", inside($("cabinet"), x, y));
}

function letGo() {
  $("ghost").hidden = true;
  $("ghost").removeAttribute("src");
  $("scanner").classList.remove("aim");
}

function hear(event) {
  if (event.origin !== origin || event.source !== $("phone-frame").contentWindow) return;
  const message = event.data;
  if (!message || typeof message !== "object") return;
  if (message.image !== undefined) {
    image = String(message.image);
    if (!image.startsWith("data:image/") || image.length > MAX_URL) image = "";
  }
  if (message.boxback === "here") {
    event.source.postMessage({ boxback: "hello" }, origin);
    if (message.enrolled === false && canEnrol && !enrolTried) {
      enrolTried = true; // once: a page whose storage is closed would ask for ever
      $("phone-frame").src = "/phone";
      return;
    }
    $("phone-show").hidden = false;
    $("phone-hint").dataset.t = "phoneHint";
    $("phone-hint").textContent = t("phoneHint");
  } else if (message.boxback === "pass" && image) scanUrl(image);
  else if (message.boxback === "pass") say(t("noPass"), "bad");
  else if (message.boxback === "lift" && image) {
    $("ghost").src = image;
    move(...place(message));
  } else if (message.boxback === "move" && !$("ghost").hidden) move(...place(message));
  else if (message.boxback === "cancel") letGo();
  else if (message.boxback === "drop" && !$("ghost").hidden) {
    const [x, y] = place(message);
    letGo();
    if (inside($("cabinet"), x, y)) scanUrl(image);
  }
}

export function preparePhone(config) {
  if (config.phone) {
    for (const id of ["phone-new", "phone-link"]) {
      $(id).hidden = false;
      $(id).href = "/phone";
    }
  }
  if (!config.phone_url) return;
  address = new URL(config.phone_url, location.href);
  origin = address.origin;
  $("phone").hidden = false;
  document.body.classList.add("with-phone");
  window.addEventListener("message", hear);
  $("phone-show").addEventListener("click", () => {
    $("phone-frame").contentWindow.postMessage({ boxback: "show" }, origin);
  });
  // A phone without a pass gets an enrolment link; one that has a pass keeps it.
  canEnrol = config.phone;
  phoneSpeaks();
}

// Load the phone's page, in the language of this one.
export function phoneSpeaks() {
  if (!address) return;
  address.searchParams.set("lang", language());
  $("phone-frame").src = address.href;
}
