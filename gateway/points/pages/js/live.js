// The live stream. The browser reconnects by itself after a break; when it gives up (the service
// answered with an error), we ask for everything again, later and later, with jitter.

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const GRACE_MS = 2_500; // a stream that ends and comes back within this is no lost connection

export class Live {
  #source = null;
  #timer = 0;
  #lostTimer = 0;
  #wait_ms = FIRST_WAIT_MS;

  /** refresh() loads everything and returns the row to go on from, or null to stop for good. */
  constructor({ refresh, onEntry, onBalance, onState }) {
    Object.assign(this, { refresh, onEntry, onBalance, onState });
  }

  async start() {
    this.stop();
    let after;
    try {
      after = await this.refresh();
    } catch (error) {
      console.info("no answer, trying again", error.name);
      this.#lost(0);
      this.#again();
      return;
    }
    if (after === null) return;
    this.#found();
    this.#source = new EventSource(`v1/me/events?after=${after}`);
    this.#source.addEventListener("open", () => this.#found());
    this.#source.addEventListener("entry", (event) => this.onEntry(JSON.parse(event.data)));
    this.#source.addEventListener("balance", (event) => this.onBalance(JSON.parse(event.data).balance));
    this.#source.addEventListener("error", () => {
      this.#lost(GRACE_MS);
      if (this.#source.readyState === EventSource.CLOSED) this.#again();
    });
  }

  stop() {
    this.#source?.close();
    clearTimeout(this.#timer);
  }

  #again() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), this.#wait_ms * (0.5 + Math.random() / 2));
    this.#wait_ms = Math.min(LONGEST_WAIT_MS, this.#wait_ms * 2);
  }

  #lost(after_ms) {
    clearTimeout(this.#lostTimer);
    this.#lostTimer = setTimeout(() => this.onState(false), after_ms);
  }

  #found() {
    clearTimeout(this.#lostTimer);
    this.#wait_ms = FIRST_WAIT_MS;
    this.onState(true);
  }
}
