/** How calls are made: routing, deadlines, cancelling, retries, streams. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connect, connectAdmin } from 'adaptermux';
import { failure, serve } from '../testing/fake_server.js';

describe('calls', { timeout: 30_000 }, () => {
  let handlers;
  let server;
  let client;
  let admin;

  beforeEach(async () => {
    handlers = {};
    // grpc-js takes handlers when the service is added; tests set theirs later.
    const late =
      (name) =>
      (...args) =>
        handlers[name](...args);
    const names = ['classify', 'embed', 'streamAnalyze', 'getModel', 'loadAdapter', 'unloadAdapter', 'listAdapters'];
    server = await serve(Object.fromEntries(names.map((name) => [name, late(name)])));
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
    handlers.getModel = () => assert.fail('it was made');

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

  test('adapters are listed page after page', async () => {
    const pages = { '': [['a', 'b'], '2'], 2: [['c'], ''] };
    handlers.listAdapters = ({ request }, answer) => {
      const [ids, nextPageToken] = pages[request.pageToken];
      answer(null, { adapters: ids.map((id) => ({ id })), nextPageToken });
    };

    const ids = [];
    for await (const adapter of admin.listAdapters()) ids.push(adapter.id);

    assert.deepEqual(ids, ['a', 'b', 'c']);
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

  test('an unload waits longer than its drain', async () => {
    let deadline;
    handlers.unloadAdapter = (call, answer) => {
      deadline = call.getDeadline();
      answer(null, { adapter: { id: call.request.adapterId } });
    };
    const begun = Date.now();

    const adapter = await admin.unloadAdapter('a', { drainTimeoutMs: 60_000 });

    assert.equal(adapter.id, 'a');
    assert.ok(Number(deadline) > begun + 60_000);
  });
});
