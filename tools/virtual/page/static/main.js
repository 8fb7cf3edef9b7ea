// The page: language, live state by SSE, the phone beside the bin, the engineers' pane.
import { rememberLanguage, setLanguage, t } from "./words.js";
import { draw, prepare } from "./bin.js";
import { say } from "./say.js";
import { prepareScan } from "./scan.js";
import { phoneSpeaks, preparePhone } from "./phone.js";
import { prepareHands, switches, wordsOfHands } from "./hands.js";
import { prepareTricks, tricks } from "./tricks.js";

const $ = (id) => document.getElementById(id);
const ENGINEER_MS = 1000;
let last = null;
let watching = 0;

function languages() {
  for (const node of document.querySelectorAll("[data-lang]")) {
    node.addEventListener("click", () => {
      setLanguage(node.dataset.lang);
      rememberLanguage(node.dataset.lang);
      speak();
      phoneSpeaks();
    });
  }
}

function speak() {
  $("scanner").setAttribute("aria-label", t("scannerLabel"));
  wordsOfHands();
  if (last) {
    draw(last);
    tricks(last);
  }
}

function live() {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => {
    if (document.body.classList.contains("lost")) {
      document.body.classList.remove("lost");
      say("");
      phoneSpeaks(); // its page has been waiting as well
    }
    last = JSON.parse(event.data);
    draw(last);
    switches(last);
    tricks(last);
  };
  events.onerror = () => {
    document.body.classList.add("lost");
    say(t("lost"), "bad", 0);
    $("bin-state").textContent = t("state_lost");
    $("bin-state").dataset.state = "off";
  };
}

async function engineers() {
  const response = await fetch("/api/engineer");
  if (!response.ok) return;
  const now = await response.json();
  const figures = [
    ["f_state", last ? t(`state_${last.state}`) : "—"],
    ["f_flash", `${now.erases} / ${now.programs}`],
    ["f_resets", now.resets],
    ["f_heap", `${now.heap_free} / ${now.heap_used} B`],
    ["f_wdt", now.wdt_ms ? `${now.wdt_ms} ms` : "—"],
    ["f_scanner", `${now.scanner_mode} / ${now.scanner_baud} / ${now.scanner_dropped}`],
    ["f_ntp", now.sntp_answered],
    ["f_clock", `${last ? last.clock : 0} s · ${t(now.virtual_time ? "virtualTime" : "realTime")}`],
  ];
  $("figures").replaceChildren(...figures.flatMap(([key, value]) => {
    const name = document.createElement("dt");
    const text = document.createElement("dd");
    name.textContent = t(key);
    text.textContent = value;
    return [name, text];
  }));
  for (const [id, lines] of [["notes", now.notes], ["console", now.console]]) {
    const pane = $(id);
    const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
    pane.textContent = lines.join("\n") || "—";
    if (atEnd) pane.scrollTop = pane.scrollHeight;
  }
}

function pane() {
  $("engineer").addEventListener("toggle", () => {
    clearInterval(watching);
    if ($("engineer").open) {
      engineers();
      watching = setInterval(engineers, ENGINEER_MS);
    }
  });
}

async function main() {
  setLanguage();
  prepare();
  prepareHands();
  prepareTricks();
  languages();
  pane();
  const config = await (await fetch("/api/config")).json();
  prepareScan(config);
  preparePhone(config);
  speak();
  live();
}

main();
