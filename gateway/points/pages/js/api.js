// Questions to the service. A refusal is a Refused with a code, no answer is any other error.

const WAIT_MS = 10_000;

export class Refused extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(WAIT_MS) });
  if (answer.ok) return answer.json();
  const body = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, body.code ?? "failed");
}

export function askMe(before) {
  return ask(before === undefined ? "v1/me" : `v1/me?before=${before}`);
}

export function askEnrol(code) {
  return ask("v1/enrol", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });
}
