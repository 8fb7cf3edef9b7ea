// Draws the bin from its state.
import { t } from "./words.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const PLOT_POINTS = 66;
const PIXELS = 8;
const readings = [];
let drawn = "";

export function prepare() {
  for (let n = 0; n < PIXELS; n += 1) {
    const angle = (n / PIXELS) * 2 * Math.PI - Math.PI / 2;
    const dot = document.createElementNS(SVG, "circle");
    dot.setAttribute("cx", (44 * Math.cos(angle)).toFixed(2));
    dot.setAttribute("cy", (44 * Math.sin(angle)).toFixed(2));
    dot.setAttribute("r", "4.2");
    $("ring").append(dot);
  }
  // On a small screen the hands are below the bin: what it says follows them.
  new IntersectionObserver(([seen]) => { $("strip").hidden = seen.isIntersecting; })
    .observe($("display"));
}

export function draw(state) {
  drawDisplay(state);
  drawLamp(state.lamp);
  drawFlap(state.flap);
  drawCartons(state);
  drawWeight(state);
  $("bin-id").textContent = state.bin;
  $("bin-state").textContent =
    t(`state_${state.state}`) + (state.wifi.on ? "" : ` · ${t("noWifi")}`) +
    (state.buzzer_hz ? ` · ♪ ${t("beep", state.buzzer_hz)}` : "");
  $("bin-state").dataset.state = state.state;
  $("cabinet").classList.toggle("dark", !state.powered);
  $("cabinet").classList.toggle("beeping", state.buzzer_hz > 0);
  for (let n = 1; n <= 4; n += 1) {
    const item = $(`step-${n}`);
    item.classList.toggle("done", n < state.step);
    if (n === state.step) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function drawDisplay(state) {
  const words = state.text.filter(Boolean).join(" · ");
  const label = state.lit ? t("displayLabel", words) : t("displayDark");
  $("display").setAttribute("aria-label", label);
  if ($("display-text").textContent !== words) {
    $("display-text").textContent = words;
    $("strip-text").textContent = words;
  }
  if (drawn === state.display) return;
  drawn = state.display;
  const bits = atob(state.display);
  const context = $("display").getContext("2d");
  const image = context.createImageData(128, 64);
  for (let i = 0; i < 128 * 64; i += 1) {
    const on = (bits.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1;
    image.data.set(on ? [190, 232, 255, 255] : [7, 13, 18, 255], i * 4);
  }
  context.putImageData(image, 0, 0);
}

function drawLamp(lamp) {
  $("lamp-word").textContent = t(`lamp_${lamp.word}`);
  const dots = $("ring").children;
  let glow = "transparent";
  for (let n = 0; n < dots.length; n += 1) {
    const [r, g, b] = lamp.pixels[n] || [0, 0, 0];
    const high = Math.max(r, g, b);
    // Eight dim pixels in a dark street; on a bright page they are drawn at full light.
    const scale = high < 6 ? 0 : 255 / high;
    const colour = scale ? `rgb(${r * scale} ${g * scale} ${b * scale})` : "#28352f";
    dots[n].style.fill = colour;
    if (scale) glow = colour;
  }
  $("cabinet").style.setProperty("--glow", glow);
  $("strip").style.setProperty("--glow", glow);
}

function drawFlap(flap) {
  $("door").style.setProperty("--open", String(flap.open));
  $("flap-word").textContent = t(`flap_${flap.word}`);
}

function drawCartons(state) {
  const box = $("cartons");
  const wanted = state.cartons.slice(-40).map((c) => `${c.n}`);
  for (const node of [...box.children]) if (!wanted.includes(node.dataset.n)) node.remove();
  for (const carton of state.cartons.slice(-40)) {
    if (box.querySelector(`[data-n="${carton.n}"]`)) continue;
    const node = document.createElement("i");
    node.dataset.n = carton.n;
    const edge = Math.round(14 + 9 * Math.cbrt(carton.g / 20));
    node.style.width = `${Math.min(edge * 1.25, 92)}px`;
    node.style.height = `${Math.min(edge, 70)}px`;
    if (carton.g >= 2500) node.className = "stone";
    if (carton.string) node.classList.add("string");
    box.append(node);
  }
  box.setAttribute("aria-label", t("inside", state.cartons.length, Math.round(state.mass_g)));
}

function drawWeight(state) {
  const value = state.reading_g;
  $("reading").textContent = value === null ? "— g" : `${Math.round(value)} g`;
  readings.push(value);
  if (readings.length > PLOT_POINTS) readings.shift();
  const known = readings.filter((r) => r !== null);
  const low = Math.min(0, ...known);
  const high = Math.max(50, ...known);
  const points = readings.map((r, i) => {
    const y = 37 - (34 * ((r ?? 0) - low)) / (high - low);
    return `${((i + PLOT_POINTS - readings.length) * 120) / (PLOT_POINTS - 1)},${y.toFixed(1)}`;
  });
  $("plot").firstElementChild.setAttribute("points", points.join(" "));
  $("plot").setAttribute("aria-label", t("plotLabel"));
}
