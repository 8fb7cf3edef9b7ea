// Talk to the server, and tell the person how it went.
import { t } from "./words.js";

let timer = 0;

export function say(text, kind = "plain", for_ms = 8000) {
  const said = document.getElementById("said");
  said.textContent = (kind === "good" ? "✓ " : kind === "bad" ? "⚠ " : "") + text;
  said.dataset.kind = kind;
  clearTimeout(timer);
  if (for_ms) timer = setTimeout(() => { said.textContent = ""; }, for_ms);
}

// POST bytes or JSON; returns the answer, or null after saying what went wrong.
export async function post(path, body = {}, type = "application/json") {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": type },
      body: body instanceof Blob ? body : JSON.stringify(body),
    });
  } catch {
    say(t("lost"), "bad");
    return null;
  }
  if (response.ok) return response.json();
  const answer = await response.json().catch(() => ({}));
  const key = `refused_${answer.code}`;
  const known = t(key);
  if (known !== key) say(known, "bad");
  else say(answer.why ? t("failed", answer.why) : t("refusedInput"), "bad");
  return null;
}
