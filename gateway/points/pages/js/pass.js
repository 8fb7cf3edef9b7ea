// The pass: BB1.<handle>.<step>.<mac>, made here, on the phone, with no network.

const STEP_MS = 30_000;
const MAC_BYTES = 10;
const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const KEEP = "boxback.clock_ms";
const IGNORED_MS = 2_000;
const SLOW_MS = 3_000;

let offset_ms = recalled();

/** Unix time in ms, corrected by what the server said: a wrong phone clock makes no wrong pass. */
export function now() {
  return Date.now() + offset_ms;
}

/** Learn from an answer that was asked for at `asked_ms`, with the server's time; true if it helped. */
export function learnClock(server_ms, asked_ms) {
  const took_ms = Date.now() - asked_ms;
  if (took_ms < 0 || took_ms > SLOW_MS) return false;
  const before_ms = offset_ms;
  const off_ms = Math.round(server_ms - (asked_ms + took_ms / 2));
  offset_ms = Math.abs(off_ms) > IGNORED_MS ? off_ms : 0;
  try { localStorage.setItem(KEEP, String(offset_ms)); } catch { /* then it is learnt again next time */ }
  return Math.abs(offset_ms - before_ms) > IGNORED_MS;
}

export function currentStep() {
  return Math.floor(now() / STEP_MS);
}

/** Milliseconds until the next code. */
export function remaining() {
  return STEP_MS - (now() % STEP_MS);
}

/** The text of the pass for a step. */
export async function passText({ handle, key }, step) {
  const said = `BB1.${handle}.${step}`;
  const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(said));
  return `${said}.${crockford(new Uint8Array(mac, 0, MAC_BYTES))}`;
}

function crockford(bytes) {
  let bits = 0;
  let held = 0;
  let text = "";
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += LETTERS[(held >> bits) & 31];
      held &= (1 << bits) - 1;
    }
  }
  return text;
}

function recalled() {
  try { return Number(localStorage.getItem(KEEP)) || 0; } catch { return 0; }
}
