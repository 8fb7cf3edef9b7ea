// Talk to the server, and tell the person how it went.
import { t } from "./words.js";

let timer = 0;

export function say(text, kind = "plain") {
  const said = document.getElementById("said");
  said.textContent = (kind === "good" ? "✓ " : kind === "bad" ? "⚠ " : "") + text;
  said.dataset.kind = kind;
  clearTimeout(timer);
  timer = setTimeout(() => { said.textContent = ""; }, 8000);
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
  } catch (error) {
    say(t("failed", error.message), "bad");
    return null;
  }
  if (response.ok) return response.json();
  const answer = await response.json().catch(() => ({}));
  const key = `refused_${answer.code}`;
  const known = t(key);
  say(known === key ? t("failed", answer.why || response.statusText) : known, "bad");
  return null;
}
