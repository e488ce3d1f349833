// Keeps in touch with the server: polls its status, listens to its forwards, comes back after it was away.

const POLL_MS = 1000;
const POLL_TIMEOUT_MS = 5000;
const RETRY_MS = 1000;

/** handlers: onStatus(status), onFrame(frame), onStream(), onState(state, text). */
export class Connection {
  constructor(handlers) {
    this.handlers = handlers;
    this.answers = false;
    this.streams = false;
    this.refused = 0;
    this.source = null;
    this.retry = null;
  }

  start() {
    this.poll();
    this.listen();
    // A page that nobody sees shouldn't take the place of one that somebody does.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.hangUp() : this.listen()));
  }

  async poll() {
    try {
      const response = await fetch("api/status", { cache: "no-store", signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const status = await response.json();
      this.answers = true;
      this.handlers.onStatus(status);
    } catch {
      this.answers = false;
    }
    this.tell();
    setTimeout(() => this.poll(), POLL_MS);
  }

  listen() {
    if (this.source !== null || document.hidden) return;
    clearTimeout(this.retry);
    const source = new EventSource("api/events");
    this.source = source;
    source.onopen = () => {
      this.streams = true;
      this.refused = 0;
      this.handlers.onStream();
      this.tell();
    };
    source.onmessage = (event) => this.handlers.onFrame(JSON.parse(event.data));
    source.onerror = () => {
      if (source !== this.source) return;
      this.hangUp();
      this.refused += 1;
      this.retry = setTimeout(() => this.listen(), RETRY_MS);
      this.tell();
    };
  }

  hangUp() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
    this.streams = false;
  }

  tell() {
    if (!this.answers) this.handlers.onState("lost", "no connection, trying again");
    else if (this.streams) this.handlers.onState("live", "live");
    else if (this.refused > 2) this.handlers.onState("full", "figures only: too many pages are watching");
    else this.handlers.onState("connecting", "connecting");
  }
}
