/** The control plane: stores, loads, unloads and watches adapters. Types and comments for callers are in admin.d.ts. */

import { Connection } from './connection.js';
import { contentOf } from './content.js';
import { msToDuration } from './convert.js';
import { toAdapter, toAlias, toBatches, toStatus, toTargets, toUpdate } from './convert_admin.js';
import { adminDefinition } from './protos.js';
import { uploadMessages } from './upload.js';
import { watch } from './watch.js';

export const DEFAULT_ADMIN_ADDRESS = '127.0.0.1:50052';

const DEFAULT_DRAIN_MS = 30_000;
const UNLOAD_MARGIN_MS = 10_000;

export class AdminClient {
  #connection;

  constructor(address = DEFAULT_ADMIN_ADDRESS, options = {}) {
    this.#connection = new Connection(adminDefinition, address, { timeoutMs: 120_000, ...options });
  }

  async uploadAdapter(folder, { revision, onProgress, ...options } = {}) {
    const content = await contentOf(folder);
    const expected = revision ?? (await content.revision(options.signal));
    return this.#connection.send('UploadAdapter', uploadMessages(content, expected, onProgress), options);
  }

  async loadAdapter({ maxWaitMs, ...request }, options) {
    return this.#adapter('LoadAdapter', { ...request, maxWait: msToDuration(maxWaitMs) }, options);
  }

  async pushAdapter({ folder, revision: expected, ...request }, { onProgress, ...options } = {}) {
    const { revision } = await this.uploadAdapter(folder, { revision: expected, onProgress, ...options });
    return this.loadAdapter({ ...request, revision }, options);
  }

  async unloadAdapter(adapterId, options) {
    return this.#drain('UnloadAdapter', adapterId, options);
  }

  async deleteAdapter(adapterId, options) {
    return this.#drain('DeleteAdapter', adapterId, options);
  }

  async updateAdapter(adapterId, changes, options) {
    return this.#adapter('UpdateAdapter', toUpdate(adapterId, changes), options);
  }

  async getAdapter(adapterId, options) {
    return this.#adapter('GetAdapter', { adapterId }, options);
  }

  async *listAdapters({ state, filter, pageSize, ...options } = {}) {
    for await (const page of this.#pages('ListAdapters', { state, filter, pageSize }, options)) {
      yield* page.adapters.map(toAdapter);
    }
  }

  async setAlias(name, targets, options) {
    const message = { alias: { name, targets: toTargets(targets) } };
    return toAlias((await this.#connection.unary('SetAlias', message, options)).alias);
  }

  async deleteAlias(name, options) {
    return toAlias((await this.#connection.unary('DeleteAlias', { name }, options)).alias);
  }

  async *listAliases({ pageSize, ...options } = {}) {
    for await (const page of this.#pages('ListAliases', { pageSize }, options)) yield* page.aliases.map(toAlias);
  }

  watchAdapters(options = {}) {
    return watch(this.#connection, options);
  }

  async *watchBatches(options) {
    for await (const message of this.#connection.subscribe('WatchBatches', {}, options)) yield toBatches(message);
  }

  async getServerStatus(options) {
    return toStatus(await this.#connection.unary('GetServerStatus', {}, options));
  }

  close() {
    this.#connection.close();
  }

  async #adapter(rpc, request, options) {
    return toAdapter((await this.#connection.unary(rpc, request, options)).adapter);
  }

  #drain(rpc, adapterId, { drainTimeoutMs = DEFAULT_DRAIN_MS, force = false, ...options } = {}) {
    const timeoutMs = options.timeoutMs ?? drainTimeoutMs + UNLOAD_MARGIN_MS;
    const request = { adapterId, drainTimeout: msToDuration(drainTimeoutMs), force };
    return this.#adapter(rpc, request, { ...options, timeoutMs });
  }

  async *#pages(rpc, request, options) {
    let pageToken = '';
    do {
      const page = await this.#connection.unary(rpc, { ...request, pageToken }, options);
      yield page;
      pageToken = page.nextPageToken;
    } while (pageToken);
  }
}
