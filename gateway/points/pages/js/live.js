// The live stream. After a break we load everything again and go on from there, later and later,
// with full jitter: when the service comes back, the phones must not all come in one second.

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const GRACE_MS = 2_500; // a stream that ends and comes back within this is no lost connection

export class Live {
  #source = null;
  #again = 0;
  #lost = 0;
  #wait_ms = FIRST_WAIT_MS;
  #run = 0;

  /** refresh() loads everything and returns the row to go on from, or null to stop for good. */
  constructor({ refresh, onEntry, onBalance, onState }) {
    Object.assign(this, { refresh, onEntry, onBalance, onState });
  }

  async start() {
    this.stop();
    const run = this.#run;
    let after;
    try {
      after = await this.refresh();
    } catch (error) {
      console.info("no answer, trying again:", error.name);
      if (run === this.#run) this.#broke();
      return;
    }
    if (run !== this.#run || after === null) return;
    const source = new EventSource(`v1/me/events?after=${after}`);
    this.#source = source;
    source.addEventListener("open", () => this.#found());
    source.addEventListener("entry", (event) => this.onEntry(JSON.parse(event.data)));
    source.addEventListener("balance", (event) => this.onBalance(JSON.parse(event.data).balance));
    source.addEventListener("error", () => {
      source.close();
      this.#broke();
    });
  }

  /** End the stream and everything that waits. */
  stop() {
    this.#run += 1;
    this.#source?.close();
    clearTimeout(this.#again);
  }

  #broke() {
    this.#lost ||= setTimeout(() => this.onState(false), GRACE_MS);
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.start(), this.#wait_ms * Math.random());
    this.#wait_ms = Math.min(LONGEST_WAIT_MS, this.#wait_ms * 2);
  }

  #found() {
    clearTimeout(this.#lost);
    this.#lost = 0;
    this.#wait_ms = FIRST_WAIT_MS;
    this.onState(true);
  }
}
