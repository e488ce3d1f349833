/** Between what callers of the control plane write and read, and messages. Pure. */

import { durationToMs, msToDuration, timestampToDate } from './convert.js';
import { fromStatus } from './errors.js';

/** What `updateAdapter` may change, with the paths of the message's fields. */
const UPDATE_PATHS = { weight: 'weight', maxWaitMs: 'max_wait', pinned: 'pinned', metadata: 'metadata' };

/**
 * A request of `UpdateAdapter` whose mask names what is given; null is given too, and means the default.
 * @param {string} adapterId
 * @param {import('./index.js').AdapterChanges} changes
 */
export function toUpdate(adapterId, changes) {
  const given = Object.keys(changes).filter((name) => changes[name] !== undefined);
  const unknown = given.find((name) => !(name in UPDATE_PATHS));
  if (unknown !== undefined) throw new TypeError(`${unknown} can't be changed`);
  if (given.length === 0) throw new TypeError('give at least one option to change');
  const { maxWaitMs, ...rest } = changes;
  return {
    adapter: { ...rest, id: adapterId, maxWait: msToDuration(maxWaitMs) },
    updateMask: { paths: given.map((name) => UPDATE_PATHS[name]) },
  };
}

/**
 * The targets of an alias as messages.
 * @param {string | Record<string, number>} targets one adapter, or adapters with their shares of requests
 */
export function toTargets(targets) {
  const weights = Object.entries(typeof targets === 'string' ? { [targets]: 1 } : targets);
  return weights.map(([adapter, weight]) => {
    // The wire has no 0: it would mean 1 there.
    if (!(weight >= 1)) throw new RangeError(`the weight of ${adapter} must be at least 1, not ${weight}`);
    return { adapter, weight };
  });
}

/** What callers see of an `Adapter` message. */
export function toAdapter({ maxWait, loadTime, lastUsedTime, error, ...adapter }) {
  return {
    ...adapter,
    maxWaitMs: durationToMs(maxWait),
    loadTime: timestampToDate(loadTime),
    lastUsedTime: timestampToDate(lastUsedTime),
    error: error && fromStatus(error),
  };
}

/** What callers see of an `Alias` message. */
export function toAlias({ updateTime, ...alias }) {
  return { ...alias, updateTime: timestampToDate(updateTime) };
}

/** What callers see of a `WatchAdaptersResponse`. */
export function toEvent({ adapter, alias, ...event }) {
  return { ...event, ...(adapter && { adapter: toAdapter(adapter) }), ...(alias && { alias: toAlias(alias) }) };
}

/** What callers see of a `WatchBatchesResponse`. */
export function toBatches({ batches, ...rest }) {
  return { batches: batches.map(toBatch), ...rest };
}

function toBatch({ startTime, traversal, compute, rows, ...batch }) {
  return {
    ...batch,
    startTime: timestampToDate(startTime),
    traversalMs: durationToMs(traversal) ?? 0,
    computeMs: durationToMs(compute) ?? 0,
    rows: rows.map(({ queueWait, ...row }) => ({ ...row, queueMs: durationToMs(queueWait) ?? 0 })),
  };
}

/** What callers see of a `GetServerStatusResponse`. */
export function toStatus({ startTime, queues, costs, ...status }) {
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
