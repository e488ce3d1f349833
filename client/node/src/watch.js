/** A watch across connections: from which event it goes on, and how long it waits before it does. */

import { setTimeout as sleep } from 'node:timers/promises';
import { toEvent } from './convert_admin.js';
import { AdapterMuxError, cancelledBy } from './errors.js';

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

/** How a connection ends that its server, or something between, let go; a server that stops cancels its streams. */
const LOST = ['UNAVAILABLE', 'CANCELLED'];

/**
 * Yields events until the loop is left, the signal is aborted, or the watch fails for good.
 * @param {import('./connection.js').Connection} connection
 * @param {import('./index.js').WatchOptions} options
 */
export async function* watch(connection, options) {
  const { resumeToken = '', reconnect = true, onLost, timeoutMs = Infinity, ...callOptions } = options;
  const end = Date.now() + timeoutMs;
  const place = new Place(resumeToken);
  for (;;) {
    const remaining = { ...callOptions, timeoutMs: end - Date.now() };
    let lost = new AdapterMuxError('the server ended the watch', { code: 'UNAVAILABLE' });
    try {
      const request = { resumeToken: place.token };
      for await (const message of connection.subscribe('WatchAdapters', request, remaining)) {
        place.passed(message);
        if (message.event) yield toEvent(message); // else it is of a kind that is newer than this client
      }
    } catch (error) {
      lost = error;
    }
    if (!reconnect || !place.isFollowing || !isLoss(lost, connection, callOptions.signal)) throw lost;
    onLost?.(lost);
    await pause(Math.min(place.nextDelayMs(), end - Date.now()), callOptions.signal);
  }
}

/** How far a watch has come. */
class Place {
  #failures = 0;

  constructor(token) {
    this.token = token;
    /** An event comes at once. So if none came yet, and none before, nobody is there: told as of other calls. */
    this.isFollowing = token !== '';
  }

  passed({ event, resumeToken }) {
    this.isFollowing = true;
    this.#failures = 0;
    // A snapshot can't be resumed, and what was before it is void.
    this.token = event === 'snapshotBegin' ? '' : resumeToken || this.token;
  }

  /** Growing, and spread, so that the watchers of a server don't come back all at once. */
  nextDelayMs() {
    const longest = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    return longest * (0.5 + Math.random() / 2);
  }
}

function isLoss(error, connection, signal) {
  return (LOST.includes(error.code) || isReset(error)) && !signal?.aborted && !connection.isClosed;
}

/** grpc-js (1.14) calls it INTERNAL when a server takes leave with an HTTP/2 error, as C++'s (so Python's) may. */
function isReset({ code, reason, message }) {
  return code === 'INTERNAL' && !reason && message.startsWith('Received RST_STREAM');
}

async function pause(ms, signal) {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    throw cancelledBy(signal);
  }
}
