/** The sending side of a stream: writes each request when there is room for it. */
export class Feed {
  #failure = null;
  #closing = new AbortController();

  /**
   * @param {import('node:stream').Writable & {cancel: () => void}} call
   * @param {Iterable<object> | AsyncIterable<object>} requests
   */
  constructor(call, requests) {
    this.#send(call, requests).catch((error) => {
      if (this.#closing.signal.aborted) return;
      this.#failure = { error };
      call.cancel();
    });
  }

  /** Throws what drawing the requests threw, if anything. */
  throwFailure() {
    if (this.#failure) throw this.#failure.error;
  }

  /** Draws no further request. */
  close() {
    this.#closing.abort();
  }

  async #send(call, requests) {
    for await (const request of requests) {
      if (this.#closing.signal.aborted) return;
      if (!call.write(request)) await drained(call, this.#closing.signal);
    }
    call.end();
  }
}

function drained(call, closing) {
  return new Promise((resolve) => {
    // Both listeners go with the first event: a long stream waits many times.
    const done = () => {
      call.off('drain', done);
      closing.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    closing.addEventListener('abort', done);
  });
}
