/** How calls are made: routing, deadlines, cancelling, retries. */

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, test } from 'node:test';
import v8 from 'node:v8';
import { connect, connectAdmin } from 'adaptermux';
import { failure, serve } from '../testing/fake_server.js';

describe('calls', { timeout: 30_000 }, () => {
  let handlers;
  let server;
  let client;
  let admin;

  beforeEach(async () => {
    handlers = {};
    server = await serve(handlers);
    client = connect(server.address);
    admin = connectAdmin(server.address);
  });
  afterEach(() => {
    client.close();
    admin.close();
    server.stop();
  });

  test('the adapter goes into the routing metadata', async () => {
    let seen;
    handlers.classify = (call, answer) => {
      seen = call.metadata.get('x-adapter-id');
      answer(null, { results: [] });
    };

    await client.classify({ adapter: 'sentiment', inputs: ['good'] });

    assert.deepEqual(seen, ['sentiment']);
  });

  test('the base model has no routing metadata', async () => {
    let seen;
    handlers.embed = (call, answer) => {
      seen = call.metadata.get('x-adapter-id');
      answer(null, { results: [] });
    };

    await client.embed({ inputs: ['good'] });

    assert.deepEqual(seen, []);
  });

  test('a call has a deadline unless it asks for none', async () => {
    const deadlines = [];
    handlers.getModel = (call, answer) => {
      deadlines.push(call.getDeadline());
      answer(null, {});
    };

    await client.getModel();
    await client.getModel({ timeoutMs: Infinity });

    assert.ok(Number.isFinite(Number(deadlines[0])));
    assert.equal(deadlines[1], Infinity);
  });

  test('a call that is answered too late is DEADLINE_EXCEEDED', async () => {
    handlers.getModel = () => {};

    await assert.rejects(client.getModel({ timeoutMs: 50 }), { name: 'AdapterMuxError', code: 'DEADLINE_EXCEEDED' });
  });

  test('an aborted call is CANCELLED, and the server hears of it', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const cancelled = new Promise((resolve) => {
      handlers.getModel = (call) => {
        call.on('cancelled', resolve);
        controller.abort(reason);
      };
    });

    await assert.rejects(client.getModel({ signal: controller.signal }), { code: 'CANCELLED', cause: reason });
    await cancelled;
  });

  test('a call that is aborted as soon as it is made does not stay with the server', async () => {
    handlers.getModel = (_, answer) => answer(null, {});
    await client.getModel();
    const controller = new AbortController();
    const arrived = [];
    handlers.getModel = (call) => arrived.push(new Promise((resolve) => call.on('cancelled', resolve)));

    const calling = client.getModel({ signal: controller.signal });
    controller.abort();
    await assert.rejects(calling, { code: 'CANCELLED' });
    // A call that comes after it on the same connection: what was sent before has arrived.
    handlers.classify = (_, answer) => answer(null, {});
    await client.classify({ adapter: 'a', inputs: [{ text: 'a' }] });

    await Promise.all(arrived);
  });

  test('a call whose signal is aborted already is not made', async () => {
    handlers.getModel = (_, answer) => answer(null, {});

    await assert.rejects(client.getModel({ signal: AbortSignal.abort() }), { code: 'CANCELLED' });
  });

  test('inference is repeated while the server is unavailable', async () => {
    let attempts = 0;
    handlers.classify = (_, answer) =>
      ++attempts < 3 ? answer(failure('UNAVAILABLE', 'stopping')) : answer(null, { results: [] });

    await client.classify({ adapter: 'sentiment', inputs: ['good'] });

    assert.equal(attempts, 3);
  });

  test('a load is never repeated by itself', async () => {
    let attempts = 0;
    handlers.loadAdapter = (_, answer) => {
      attempts += 1;
      answer(failure('UNAVAILABLE', 'stopping'));
    };

    await assert.rejects(admin.loadAdapter({ adapterId: 'a', uri: '/a' }), { code: 'UNAVAILABLE' });

    assert.equal(attempts, 1);
  });

  test(
    'calls that have ended leave nothing behind',
    { skip: !v8.queryObjects && 'this Node.js cannot count' },
    async () => {
      handlers.getModel = (_, answer) => answer(null, {});
      await client.getModel();
      const before = v8.queryObjects(EventEmitter);

      for (let count = 0; count < 100; count++) await client.getModel();

      assert.ok(v8.queryObjects(EventEmitter) < before + 50);
    },
  );

  test('a request key goes with every inference call', async () => {
    const seen = [];
    const note = (call) => seen.push(call.metadata.get('x-request-key'));
    const unary = (call, answer) => {
      note(call);
      answer(null, {});
    };
    for (const name of ['classify', 'tagTokens', 'answer', 'embed', 'analyze']) handlers[name] = unary;
    handlers.streamAnalyze = (call) => {
      note(call);
      call.end();
    };
    const request = { adapter: 'prod', inputs: [] };

    for (const name of ['classify', 'tagTokens', 'answer', 'embed', 'analyze']) {
      await client[name](request, { requestKey: 'user-7' });
    }
    await client.streamAnalyze([], { requestKey: 'user-7' }).next();
    await client.classify(request);

    assert.deepEqual(seen, [...Array(6).fill(['user-7']), []]);
  });

  test('closing the client cancels its calls, and it makes no more', async () => {
    const begun = [];
    const cancelled = (name) =>
      new Promise((resolve) => {
        handlers[name] = (call) => {
          call.on('cancelled', resolve);
          begun.pop()();
        };
      });
    const ends = [cancelled('getModel'), cancelled('streamAnalyze')];

    const calls = [() => client.getModel(), () => client.streamAnalyze(endless()).next()];
    const failures = [];
    for (const call of calls) {
      const arrival = new Promise((resolve) => begun.push(resolve));
      failures.push(assert.rejects(call(), { name: 'AdapterMuxError', code: 'CANCELLED' }));
      await arrival;
    }
    client.close();

    await Promise.all([...failures, ...ends]);
    for (const call of calls) await assert.rejects(call(), { name: 'AdapterMuxError', code: 'CANCELLED' });
  });
});

async function* endless() {
  yield { requestId: 'a', request: { tasks: [], inputs: [] } };
  await new Promise(() => {});
}
