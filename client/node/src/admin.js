/** The control plane: loads, unloads and watches adapters. Types and comments for callers are in index.d.ts. */

import { Connection } from './connection.js';
import { durationToMs, msToDuration, timestampToDate } from './convert.js';
import { fromStatus } from './errors.js';
import { adminDefinition } from './protos.js';

export const DEFAULT_ADMIN_ADDRESS = '127.0.0.1:50052';

const DEFAULT_DRAIN_MS = 30_000;
const UNLOAD_MARGIN_MS = 10_000;

export class AdminClient {
  #connection;

  constructor(address = DEFAULT_ADMIN_ADDRESS, options = {}) {
    this.#connection = new Connection(adminDefinition, address, { timeoutMs: 120_000, ...options });
  }

  async loadAdapter({ maxWaitMs, ...request }, options) {
    const message = { ...request, maxWait: msToDuration(maxWaitMs) };
    return toAdapter((await this.#connection.unary('LoadAdapter', message, options)).adapter);
  }

  async unloadAdapter(adapterId, { drainTimeoutMs = DEFAULT_DRAIN_MS, force = false, ...options } = {}) {
    const message = { adapterId, drainTimeout: msToDuration(drainTimeoutMs), force };
    const timeoutMs = options.timeoutMs ?? drainTimeoutMs + UNLOAD_MARGIN_MS;
    return toAdapter((await this.#connection.unary('UnloadAdapter', message, { ...options, timeoutMs })).adapter);
  }

  async getAdapter(adapterId, options) {
    return toAdapter((await this.#connection.unary('GetAdapter', { adapterId }, options)).adapter);
  }

  async *listAdapters({ state, pageSize, ...options } = {}) {
    let pageToken = '';
    do {
      const page = await this.#connection.unary('ListAdapters', { state, pageSize, pageToken }, options);
      yield* page.adapters.map(toAdapter);
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  async getServerStatus(options) {
    return toStatus(await this.#connection.unary('GetServerStatus', {}, options));
  }

  close() {
    this.#connection.close();
  }
}

function toAdapter({ maxWait, loadTime, lastUsedTime, error, ...adapter }) {
  return {
    ...adapter,
    maxWaitMs: durationToMs(maxWait),
    loadTime: timestampToDate(loadTime),
    lastUsedTime: timestampToDate(lastUsedTime),
    error: error && fromStatus(error),
  };
}

function toStatus({ startTime, queues, costs, ...status }) {
  return {
    ...status,
    startTime: timestampToDate(startTime),
    queues: queues.map(({ oldestWait, ...queue }) => ({ ...queue, oldestWaitMs: durationToMs(oldestWait) })),
    costs: {
      traversalMs: durationToMs(costs?.traversal),
      batchMs: durationToMs(costs?.batch),
      tokenMs: durationToMs(costs?.token),
    },
  };
}
