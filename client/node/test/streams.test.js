/** How requests are streamed: no faster than they are taken, until an end of either side. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connect } from 'adaptermux';
import { failure, serve } from '../testing/fake_server.js';

describe('streams', { timeout: 30_000 }, () => {
  let handlers;
  let server;
  let client;

  beforeEach(async () => {
    handlers = {};
    server = await serve(handlers);
    client = connect(server.address);
  });
  afterEach(() => {
    client.close();
    server.stop();
  });

  test('a stream is sent no faster than the server takes it', async () => {
    let drawn = 0;
    let reading;
    const stalled = new Promise((resolve) => (reading = resolve));
    handlers.streamAnalyze = (call) => reading(call); // reads nothing yet
    const text = 'x'.repeat(20_000);
    async function* many() {
      while (drawn < 1000) yield { requestId: String(++drawn), request: { tasks: [], inputs: [text] } };
    }

    const controller = new AbortController();
    const outcomes = client.streamAnalyze(many(), { signal: controller.signal });
    const first = outcomes.next();
    await stalled;
    controller.abort();

    await assert.rejects(first, { code: 'CANCELLED' });
    assert.ok(drawn < 100, `${drawn} requests were drawn`);
  });

  test('leaving the loop of a stream cancels it', async () => {
    const cancelled = new Promise((resolve) => {
      handlers.streamAnalyze = (call) => {
        call.on('data', ({ requestId }) => call.write({ requestId, response: { results: [] } }));
        call.on('cancelled', resolve);
      };
    });
    async function* waiting() {
      yield { requestId: 'a', request: { tasks: [], inputs: [] } };
      await cancelled;
    }

    for await (const { requestId } of client.streamAnalyze(waiting())) {
      assert.equal(requestId, 'a');
      break;
    }

    await cancelled;
  });

  test('leaving the loop of a stream closes its requests, also while they wait for the server', async () => {
    handlers.streamAnalyze = (call) => call.once('data', () => call.pause().write({ requestId: 'a', response: {} }));
    let close;
    const closed = new Promise((resolve) => (close = resolve));
    const text = 'x'.repeat(200_000);
    async function* many() {
      try {
        for (;;) yield { requestId: 'a', request: { tasks: [], inputs: [text] } };
      } finally {
        close();
      }
    }

    const outcomes = client.streamAnalyze(many());
    await outcomes.next();
    await outcomes.return();

    await closed;
  });

  test('what drawing the requests of a stream throws is thrown by its loop', async () => {
    handlers.streamAnalyze = (call) => call.resume();
    async function* failing() {
      yield { requestId: 'a', request: { tasks: [], inputs: [] } };
      throw new RangeError('out of texts');
    }

    await assert.rejects(client.streamAnalyze(failing()).next(), RangeError);
  });

  test('a stream that fails as a whole throws', async () => {
    handlers.streamAnalyze = (call) => call.emit('error', failure('RESOURCE_EXHAUSTED', 'too large'));

    const outcomes = client.streamAnalyze([{ requestId: 'a', request: { tasks: [], inputs: [] } }]);

    await assert.rejects(outcomes.next(), { code: 'RESOURCE_EXHAUSTED', message: 'too large' });
  });

  test('a stream has no deadline unless it asks for one', async () => {
    const deadlines = [];
    handlers.streamAnalyze = (call) => {
      deadlines.push(call.getDeadline());
      call.end();
    };

    await client.streamAnalyze([], { timeoutMs: undefined }).next();
    await client.streamAnalyze([], { timeoutMs: 5000 }).next();

    assert.equal(deadlines[0], Infinity);
    assert.ok(Number.isFinite(Number(deadlines[1])));
  });

  test('a stream that waits often for the server keeps no listeners', async (t) => {
    const warnings = [];
    const listener = (warning) => warnings.push(warning.name);
    process.on('warning', listener);
    t.after(() => process.off('warning', listener));
    handlers.streamAnalyze = (call) => {
      let taken = 0;
      call.on('data', () => ++taken === 400 && call.end());
    };
    const text = 'x'.repeat(200_000);
    const requests = Array.from({ length: 400 }, (_, index) => ({
      requestId: String(index),
      request: { tasks: [], inputs: [text] },
    }));

    await client.streamAnalyze(requests).next();
    await new Promise(setImmediate);

    assert.deepEqual(warnings, []);
  });
});
