/** A watch tells every event once, in order, across lost connections, until its caller ends it. */

import assert from 'node:assert/strict';
import { constants } from 'node:http2';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connectAdmin } from 'adaptermux';
import { adminDefinition } from '../src/protos.js';
import { failure, serve, serveRaw } from '../testing/fake_server.js';

const INTERNAL_ERROR = constants.NGHTTP2_INTERNAL_ERROR;

const BEGIN = { snapshotBegin: {} };
const END = { snapshotEnd: {}, resumeToken: 'e-0' };

function added(id, resumeToken = '') {
  return { adapter: { id, maxWait: { seconds: 1 } }, resumeToken };
}

/** A message as it stands in an HTTP/2 stream: uncompressed, its length, its bytes. */
function framed(event) {
  const message = adminDefinition.WatchAdapters.responseSerialize(event);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Each event as its kind with what tells it apart. */
function brief({ event, adapter, alias, removedAdapterId, removedAliasName }) {
  return [event, adapter?.id ?? alias?.name ?? removedAdapterId ?? removedAliasName].filter(Boolean).join(' ');
}

async function taken(events, count) {
  const all = [];
  for await (const event of events) if (all.push(event) === count) break;
  return all;
}

describe('watches', { timeout: 30_000 }, () => {
  let handlers;
  let server;
  let admin;
  let tokens;

  beforeEach(async () => {
    handlers = {};
    tokens = [];
    server = await serve(handlers);
    admin = connectAdmin(server.address);
  });
  afterEach(() => {
    admin.close();
    server.stop();
  });

  /** Each connection in turn tells these events, then is left by `leave`; the last is left open. */
  function script(...connections) {
    handlers.watchAdapters = (call) => {
      const [events, leave = () => {}] = connections[tokens.push(call.request.resumeToken) - 1];
      for (const event of events) call.write(event);
      leave(call);
    };
  }

  const lose = (code) => (call) => call.emit('error', failure(code, 'stopping'));

  test('every kind of event is told with its token', async () => {
    const alias = { name: 'prod', targets: [{ adapter: 'a', weight: 1 }], updateTime: { seconds: 1 } };
    script([
      [
        BEGIN,
        added('a'),
        END,
        { alias, resumeToken: 'e-1' },
        { removedAliasName: 'prod', resumeToken: 'e-2' },
        { removedAdapterId: 'a', resumeToken: 'e-3' },
      ],
    ]);

    const events = await taken(admin.watchAdapters(), 6);

    const kinds = [
      'snapshotBegin',
      'adapter a',
      'snapshotEnd',
      'alias prod',
      'removedAliasName prod',
      'removedAdapterId a',
    ];
    assert.deepEqual(events.map(brief), kinds);
    assert.deepEqual(
      events.map(({ resumeToken }) => resumeToken),
      ['', '', 'e-0', 'e-1', 'e-2', 'e-3'],
    );
    assert.equal(events[1].adapter.maxWaitMs, 1000);
    assert.deepEqual(events[3].alias.updateTime, new Date(1000));
    assert.deepEqual(Object.keys(events[5]).sort(), ['event', 'removedAdapterId', 'resumeToken']);
  });

  for (const code of ['UNAVAILABLE', 'CANCELLED']) {
    test(`a watch that ends with ${code} goes on after its last event`, async () => {
      script([[BEGIN, END, added('a', 'e-1')], lose(code)], [[added('b', 'e-2')]]);
      const losses = [];

      const events = await taken(admin.watchAdapters({ onLost: (error) => losses.push(error.code) }), 4);

      assert.deepEqual(events.map(brief), ['snapshotBegin', 'snapshotEnd', 'adapter a', 'adapter b']);
      assert.deepEqual(tokens, ['', 'e-1']);
      assert.deepEqual(losses, [code]);
    });
  }

  test('a stream that the server ends in good order is no end of the watch', async () => {
    script([[BEGIN, END], (call) => call.end()], [[added('a', 'e-1')]]);

    const events = await taken(admin.watchAdapters(), 3);

    assert.equal(brief(events[2]), 'adapter a');
    assert.deepEqual(tokens, ['', 'e-0']);
  });

  test('a snapshot that is cut off begins anew', async () => {
    script([[BEGIN, added('b')], lose('UNAVAILABLE')], [[BEGIN, END]]);

    await taken(admin.watchAdapters({ resumeToken: 'e-7' }), 4);

    assert.deepEqual(tokens, ['e-7', '']);
  });

  test('an event of a kind that is newer than this client is passed over, with its token', async () => {
    script([[{ resumeToken: 'e-5' }], lose('UNAVAILABLE')], [[added('a', 'e-6')]]);

    const events = await taken(admin.watchAdapters(), 1);

    assert.equal(brief(events[0]), 'adapter a');
    assert.deepEqual(tokens, ['', 'e-5']);
  });

  test('a server that is gone for a while is found again', async () => {
    script([[BEGIN, END]], [[added('a', 'e-1')]]);
    const events = admin.watchAdapters({
      onLost: () => {
        if (!restarting) restarting = serve(handlers, server.port);
      },
    });
    let restarting = null;

    await events.next();
    await events.next();
    server.stop();
    const { value } = await events.next();
    server = await restarting;
    await events.return();

    assert.equal(brief(value), 'adapter a');
    assert.deepEqual(tokens, ['', 'e-0']);
  });

  test('a connection that ends with an HTTP/2 error is a lost one', async () => {
    const sessions = [];
    const rude = await serveRaw((stream) => {
      sessions.push(stream.session);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(framed(added(`a${sessions.length}`, `e-${sessions.length}`)));
    });
    const client = connectAdmin(rude.address);
    const losses = [];
    const events = client.watchAdapters({ onLost: ({ code }) => losses.push(code) });

    const first = await events.next();
    sessions[0].goaway(INTERNAL_ERROR);
    sessions[0].destroy();
    const second = await events.next();
    client.close();
    rude.stop();

    assert.deepEqual([brief(first.value), brief(second.value)], ['adapter a1', 'adapter a2']);
    assert.deepEqual(losses, ['INTERNAL']);
  });

  test('a first connection that fails is an error, unless there is a token', async () => {
    script([[], lose('UNAVAILABLE')], [[], lose('UNAVAILABLE')], [[added('a', 'e-1')]]);

    await assert.rejects(admin.watchAdapters().next(), { code: 'UNAVAILABLE' });
    const { value } = await admin.watchAdapters({ resumeToken: 'e-0' }).next();

    assert.equal(brief(value), 'adapter a');
    assert.deepEqual(tokens, ['', 'e-0', 'e-0']);
  });

  for (const code of ['INVALID_ARGUMENT', 'INTERNAL']) {
    test(`${code}, which is no loss of the connection, ends the watch`, async () => {
      script([[BEGIN], lose(code)]);
      const events = admin.watchAdapters();
      await events.next();

      await assert.rejects(events.next(), { name: 'AdapterMuxError', code });
    });
  }

  test('without reconnect a loss ends the watch', async () => {
    script([[BEGIN], lose('UNAVAILABLE')]);
    const events = admin.watchAdapters({ reconnect: false });
    await events.next();

    await assert.rejects(events.next(), { code: 'UNAVAILABLE' });
  });

  test('leaving the loop ends the watch at the server', async () => {
    const cancelled = new Promise((resolve) => script([[BEGIN], (call) => call.on('cancelled', resolve)]));

    await taken(admin.watchAdapters(), 1);

    await cancelled;
  });

  test('a signal ends the watch while it waits for an event', async () => {
    const cancelled = new Promise((resolve) => script([[BEGIN], (call) => call.on('cancelled', resolve)]));
    const controller = new AbortController();
    const onLost = () => assert.fail('it was not lost');
    const events = admin.watchAdapters({ signal: controller.signal, onLost });
    await events.next();

    const next = events.next();
    controller.abort('enough');

    await assert.rejects(next, { code: 'CANCELLED', cause: 'enough' });
    await cancelled;
    assert.deepEqual(await events.next(), { done: true, value: undefined });
  });

  test('waits for a connection grow, and a signal ends them at once', async () => {
    const losses = [];
    script([[BEGIN], lose('UNAVAILABLE')], ...Array(4).fill([[], lose('UNAVAILABLE')]));
    const controller = new AbortController();
    const onLost = () => {
      if (losses.push(Date.now()) === 5) setImmediate(() => controller.abort('enough')); // waits for 0.8 s or more
    };
    const events = admin.watchAdapters({ signal: controller.signal, onLost });
    await events.next();

    await assert.rejects(events.next(), { code: 'CANCELLED', cause: 'enough' });

    assert.ok(Date.now() - losses[4] < 400);
    assert.ok(losses[4] - losses[3] >= 400);
    assert.equal(tokens.length, 5);
  });

  test('closing the client ends the watch', async () => {
    script([[BEGIN]], [[BEGIN]]);
    const events = admin.watchAdapters();
    await events.next();

    const next = events.next();
    admin.close();

    await assert.rejects(next, { name: 'AdapterMuxError' });
    assert.equal(tokens.length, 1);
  });

  test('the time of a watch is that of all its connections', async () => {
    const deadlines = [];
    const note = (call) => deadlines.push(Number(call.getDeadline()));
    script(
      [
        [BEGIN],
        (call) => {
          note(call);
          setTimeout(lose('UNAVAILABLE'), 250, call);
        },
      ],
      [[], note],
    );
    const events = admin.watchAdapters({ timeoutMs: 600 });
    await events.next();

    await assert.rejects(events.next(), { code: 'DEADLINE_EXCEEDED' });

    assert.ok(Math.abs(deadlines[1] - deadlines[0]) < 150, `${deadlines}`);
  });
});
