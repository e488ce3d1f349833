/** A watch of forwards tells what the server tells, and ends when its caller or the server ends it. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connectAdmin } from 'adaptermux';
import { failure, serve } from '../testing/fake_server.js';

const ROW = { adapterId: 'a', numTokens: 5, queueWait: { nanos: 1_500_000 }, requestId: 'r-1' };
const BATCH = {
  startTime: { seconds: 2 },
  traversal: { nanos: 40_000 },
  compute: { nanos: 1_000_000 },
  kernel: 'uniform',
  numPaddedTokens: 10,
  rows: [ROW, { numTokens: 3 }],
};
const TOLD = { batches: [BATCH], numMissed: 9, numRowsQueued: 3 };

describe('watches of forwards', { timeout: 30_000 }, () => {
  let handlers;
  let server;
  let admin;

  beforeEach(async () => {
    handlers = {};
    server = await serve(handlers);
    admin = connectAdmin(server.address);
  });
  afterEach(() => {
    admin.close();
    server.stop();
  });

  /** The server tells of one forward, and leaves the watch by `leave`. */
  function tell(leave = () => {}) {
    handlers.watchBatches = (call) => {
      call.write(TOLD);
      leave(call);
    };
  }

  test('forwards are told with their rows', async () => {
    tell();

    const { value } = await admin.watchBatches().next();

    const rows = [
      { adapterId: 'a', numTokens: 5, queueMs: 1.5, requestId: 'r-1' },
      { adapterId: '', numTokens: 3, queueMs: 0, requestId: '' },
    ];
    const forward = { startTime: new Date(2000), traversalMs: 0.04, computeMs: 1, kernel: 'uniform', rows };
    assert.deepEqual(value, { batches: [{ ...forward, numPaddedTokens: 10 }], numMissed: 9, numRowsQueued: 3 });
  });

  test('leaving the loop ends the watch at the server', async () => {
    const cancelled = new Promise((resolve) => tell((call) => call.on('cancelled', resolve)));

    for await (const _ of admin.watchBatches()) break;

    await cancelled;
  });

  test('its time is that of the whole watch', async () => {
    tell();
    const watch = admin.watchBatches({ timeoutMs: 300 });
    await watch.next();

    await assert.rejects(watch.next(), { name: 'AdapterMuxError', code: 'DEADLINE_EXCEEDED' });
  });

  test('a server that stops is an error', async () => {
    tell((call) => call.emit('error', failure('UNAVAILABLE', 'stopping')));
    const watch = admin.watchBatches();
    await watch.next();

    await assert.rejects(watch.next(), { name: 'AdapterMuxError', code: 'UNAVAILABLE' });
  });
});
