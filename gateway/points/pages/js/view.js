// Balance and history on the page.

import { number, t, when } from "./i18n.js";

const COUNT_MS = 700;
const SENTENCE = "entry.other";
const KINDS = { 1: ["good", "✓"], 0: ["bad", "!"], "-1": ["bad back", "−"] }; // by sign of points

const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let entries = []; // newest first
let balance = null;
let shown = 0;
let frame = 0;

export function showBalance(value, { moving = true } = {}) {
  const from = balance === null ? value : shown;
  balance = value;
  cancelAnimationFrame(frame);
  if (!moving || calm.matches || from === value || document.hidden) {
    paintBalance(value);
    return;
  }
  const began = performance.now();
  const step = (time) => {
    const part = Math.min(1, (time - began) / COUNT_MS);
    paintBalance(Math.round(from + (value - from) * (1 - (1 - part) ** 3)));
    if (part < 1) frame = requestAnimationFrame(step);
  };
  frame = requestAnimationFrame(step);
}

function paintBalance(value) {
  shown = value;
  $("balance").textContent = number(value);
  $("balance-unit").textContent = t(value === 1 ? "unit_one" : "unit");
}

/** Take the first page of the history in place of everything shown. */
export function showHistory(rows, more) {
  entries = rows;
  $("more").hidden = !more;
  paintHistory();
}

/** Add an older page below. */
export function addOlder(rows, more) {
  const known = new Set(entries.map((entry) => entry.seq));
  entries = entries.concat(rows.filter((row) => !known.has(row.seq)));
  $("more").hidden = !more;
  paintHistory();
}

export function oldestSeq() {
  return entries.at(-1)?.seq;
}

/** Add one that just happened on top, and say it. */
export function addNew(entry) {
  if (entries.some((known) => known.seq === entry.seq)) return;
  entries.unshift(entry);
  const row = rowOf(entry);
  row.classList.add("new");
  $("history").prepend(row);
  $("history-empty").hidden = true;
  showBalance(entry.balance);
  $("announce").textContent = heard(entry);
}

/** Everything again, in the language that is on. */
export function repaint() {
  if (balance !== null) showBalance(balance, { moving: false });
  paintHistory();
}

function paintHistory() {
  $("history").replaceChildren(...entries.map(rowOf));
  $("history-empty").hidden = entries.length > 0 || balance === null;
}

function sentence(entry) {
  return t(entry.code) ?? t(SENTENCE);
}

/** What a screen reader says of one that just happened. */
function heard(entry) {
  const what = sentence(entry);
  const values = { what, points: number(entry.points), balance: number(entry.balance) };
  if (entry.points === 0) return what;
  return entry.points > 0 ? t("heard_credit", values) : t("heard_back", values);
}

function rowOf(entry) {
  const [kind, sign] = KINDS[Math.sign(entry.points)];
  const row = part("li", `entry ${kind}`);
  row.dataset.seq = entry.seq;
  const words = part("div", "words");
  words.append(part("p", "sentence", sentence(entry)), facts(entry));
  const mark = part("span", "mark", sign);
  mark.setAttribute("aria-hidden", "true");
  const gain = part("span", "gain", entry.points > 0 ? `+${number(entry.points)}` : number(entry.points));
  row.append(mark, words, gain);
  return row;
}

function facts(entry) {
  const { bin, mass_g } = entry.details;
  const time = part("time", "", when(entry.at));
  const date = new Date(entry.at);
  if (!Number.isNaN(date.getTime())) time.dateTime = date.toISOString(); // else it throws
  const line = part("p", "facts");
  line.append(time);
  if (bin) line.append(` · ${bin}`);
  if (mass_g && entry.points !== 0) line.append(` · ${t("mass", { mass: number(mass_g) })}`);
  return line;
}

function part(name, className, text = "") {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}
