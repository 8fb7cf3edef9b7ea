// Speaks to the page around this one, when there is one.
//
// Only pages of the operator's setting `frame_ancestors` can put this page in a frame (the browser
// holds that by Content-Security-Policy), so whoever is around us is trusted with what any scanner
// may see: the picture of the pass. Browsers deliver no drag events from a frame of another origin,
// so a drag of the pass is told by messages:
//   out {boxback: "here", enrolled}           at start and when that changes
//   in  {boxback: "hello"} or {boxback: "show"}; the answer to "show" is {boxback: "pass", image},
//       image being "" when this phone has none
//   out {boxback: "lift", image, x, y}, then "move", then "drop" or "cancel", x and y in CSS px

const LIFT_PX = 6; // a click that trembles is not a drag

let around = ""; // origin of the page around us, known once it has spoken
let pass; // the <img> of the pass

function tell(message) {
  if (around) window.parent.postMessage(message, around);
}

function shown() {
  return pass.hidden || !pass.offsetParent ? "" : pass.src; // none while another view is on
}

function hear(event) {
  if (event.source !== window.parent || !event.data || typeof event.data !== "object") return;
  if (event.data.boxback === "hello" || event.data.boxback === "show") around = event.origin;
  if (event.data.boxback === "show") tell({ boxback: "pass", image: shown() });
}

function watchDrag() {
  let from = null;
  let lifted = false;
  pass.addEventListener("dragstart", (event) => event.preventDefault());
  pass.addEventListener("pointerdown", (event) => {
    from = event.button === 0 ? [event.clientX, event.clientY] : null;
    lifted = false;
    if (from) pass.setPointerCapture(event.pointerId);
  });
  pass.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX, event.clientY];
    if (!lifted && Math.hypot(x - from[0], y - from[1]) < LIFT_PX) return;
    tell(lifted ? { boxback: "move", x, y } : { boxback: "lift", image: shown(), x, y });
    lifted = true;
  });
  for (const [name, word] of [["pointerup", "drop"], ["pointercancel", "cancel"]]) {
    pass.addEventListener(name, (event) => {
      if (from && lifted) tell({ boxback: word, x: event.clientX, y: event.clientY });
      from = null;
    });
  }
}

/** Tell the page around us whether this phone has a pass. Nothing secret: it goes to anybody. */
export function tellFrame(enrolled) {
  if (window.parent !== window) window.parent.postMessage({ boxback: "here", enrolled }, "*");
}

/** Begin to speak, if this page is in a frame. `image` is the <img> of the pass. */
export function speakToFrame(image) {
  if (window.parent === window) return;
  pass = image;
  pass.style.touchAction = "none";
  window.addEventListener("message", hear);
  watchDrag();
}
