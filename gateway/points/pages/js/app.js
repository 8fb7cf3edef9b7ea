// The member's page: which view is on, and what wakes what.

import { askEnrol, askMe, Refused } from "./api.js";
import { speakToFrame, tellFrame } from "./frame.js";
import { chooseLanguage, switchLanguage, t } from "./i18n.js";
import { Live } from "./live.js";
import { currentStep, learnClock, passText, remaining } from "./pass.js";
import { copyPicture, qrPicture } from "./qr.js";
import { loadPhone, savePhone } from "./store.js";
import { addNew, addOlder, oldestSeq, repaint, showBalance, showHistory } from "./view.js";

const SECOND_MS = 1_000;
const $ = (id) => document.getElementById(id);

let phone; // {handle, key, name} of this phone, once enrolled
let shownStep = -1;
let tickTimer = 0;
let connected = true;
let sessionEnded = false;
let errorKey = "";

const live = new Live({
  refresh,
  onEntry: addNew,
  onBalance: (value) => showBalance(value),
  onState: (state) => { connected = state; paintBanner(); },
});

// ---- the pass ----

async function tick() {
  const step = currentStep();
  const left_ms = remaining();
  if (step !== shownStep) {
    shownStep = step;
    const picture = qrPicture(await passText(phone, step));
    $("pass-qr").src = picture;
    $("pass-qr").hidden = false;
  }
  paintCountdown(Math.ceil(left_ms / SECOND_MS));
  clearTimeout(tickTimer); // two ticks may have overlapped at the await; one goes on
  tickTimer = setTimeout(tick, (remaining() % SECOND_MS) + 5);
}

function paintCountdown(seconds) {
  $("countdown").textContent = seconds;
  // The hand moves on towards the next second; a full circle comes at once.
  $("ring").classList.toggle("full", seconds >= 30);
  $("ring").setAttribute("stroke-dashoffset", seconds >= 30 ? 0 : 31 - seconds);
}

async function copy() {
  let said = "copied";
  try {
    await copyPicture($("pass-qr"));
  } catch (error) {
    console.info("picture not copied", error.name);
    said = "copy_failed";
  }
  $("copy-note").dataset.t = said;
  $("copy-note").textContent = t(said);
}

// ---- balance and history ----

async function refresh() {
  const asked_ms = Date.now();
  try {
    const me = await askMe();
    if (learnClock(me.now, asked_ms)) await tick(); // a pass of a wrong time is no good to anybody
    sessionEnded = false;
    phone.name = me.name;
    showBalance(me.balance);
    showHistory(me.history, me.more);
    paintWords();
    return me.latest;
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) throw error;
    sessionEnded = true;
    paintBanner();
    return null;
  }
}

async function older() {
  $("more").disabled = true;
  try {
    const page = await askMe(oldestSeq());
    addOlder(page.history, page.more);
  } catch (error) {
    console.info("no older entries", error.name);
    connected = false;
    paintBanner();
  } finally {
    $("more").disabled = false;
  }
}

// ---- enrolment ----

function codeInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("enrol") ?? "";
}

function forgetCode() {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

async function enrol(code) {
  paintError(code.trim() ? "" : "code_missing");
  if (!code.trim()) return;
  const button = $("enrol-form").querySelector("[type=submit]");
  button.disabled = true;
  button.textContent = t("enrolling");
  try {
    await loadPhone(); // storage must work before the code is used up
    const got = await askEnrol(code);
    phone = await savePhone(got);
    shownStep = -1;
    forgetCode();
    $("code").value = "";
    await showMember();
  } catch (error) {
    if (error instanceof Refused && error.code.startsWith("code_")) forgetCode();
    paintError(reasonOf(error));
  } finally {
    button.disabled = false;
    button.textContent = t("enrol_button");
  }
}

function reasonOf(error) {
  if (error instanceof Refused) return t(error.code) ? error.code : "failed";
  // IndexedDB throws DOMException; so does a time limit, which is the network's affair.
  return error instanceof DOMException && error.name !== "TimeoutError" ? "no_store" : "failed";
}

function paintError(key) {
  errorKey = key;
  $("enrol-error").textContent = key ? t(key) : "";
  $("code").setAttribute("aria-invalid", String(Boolean(key)));
}

// ---- views ----

async function showMember() {
  $("enrol-view").hidden = true;
  $("member-view").hidden = false;
  paintWords();
  await tick();
  tellFrame(true);
  await live.start();
}

function showEnrol(code) {
  $("member-view").hidden = true;
  $("enrol-view").hidden = false;
  $("enrol-cancel").hidden = !phone;
  $("code").value = code;
  paintError("");
  paintWords();
  tellFrame(Boolean(phone));
}

function paintWords() {
  $("lang").textContent = t("other");
  $("lang").lang = t("other_lang");
  $("lang").setAttribute("aria-label", t("other_label"));
  $("pass-qr").alt = t("pass_alt");
  $("replace-note").hidden = !phone;
  if (phone) {
    $("greeting").textContent = t("greeting", { name: phone.name });
    $("replace-note").textContent = t("replace_note", { name: phone.name });
  }
  if (errorKey) paintError(errorKey);
  paintBanner();
}

function paintBanner() {
  const banner = $("banner");
  const key = sessionEnded ? "ended" : connected ? "" : "lost";
  banner.hidden = !key;
  if (banner.dataset.key === key && banner.dataset.lang === document.documentElement.lang) return;
  banner.dataset.key = key;
  banner.dataset.lang = document.documentElement.lang;
  banner.textContent = key ? t(key) : "";
  if (key === "ended") {
    const button = document.createElement("button");
    button.className = "quiet";
    button.textContent = t("enrol_again");
    button.addEventListener("click", () => { showEnrol(""); $("code").focus(); });
    banner.append(button);
  }
}

function arrive() {
  const code = codeInAddress();
  if (!phone) {
    showEnrol(code);
    return code ? enrol(code) : undefined;
  }
  // A link must not put somebody else's pass on this phone by itself: the person decides.
  return code ? showEnrol(code) : showMember();
}

async function main() {
  chooseLanguage();
  speakToFrame($("pass-qr"));
  $("lang").addEventListener("click", () => { switchLanguage(); paintWords(); repaint(); });
  $("enrol-form").addEventListener("submit", (event) => { event.preventDefault(); enrol($("code").value); });
  $("enrol-cancel").addEventListener("click", () => { forgetCode(); showMember(); });
  $("copy").addEventListener("click", copy);
  $("more").addEventListener("click", older);
  addEventListener("hashchange", () => { if (codeInAddress()) arrive(); });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && phone && !$("member-view").hidden) tick();
  });
  paintWords();
  if (!crypto.subtle) {
    $("banner").hidden = false;
    $("banner").textContent = t("unsafe");
    return;
  }
  try {
    phone = await loadPhone();
  } catch (error) {
    console.info("storage is closed", error.name);
    showEnrol(codeInAddress());
    paintError("no_store");
    return;
  }
  await arrive();
}

main();
