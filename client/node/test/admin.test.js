/** What callers of the control plane write becomes requests, and what comes back is theirs to read. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connectAdmin } from 'adaptermux';
import { failure, serve } from '../testing/fake_server.js';

describe('administration', { timeout: 30_000 }, () => {
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

  /** Answers with what `respond` makes of the request; the result has the request once it came. */
  function record(name, respond) {
    const seen = {};
    handlers[name] = (call, answer) => {
      Object.assign(seen, { request: call.request, deadline: call.getDeadline(), metadata: call.metadata });
      answer(null, respond(call.request));
    };
    return seen;
  }

  const described = ({ adapterId }) => ({ adapter: { id: adapterId } });

  test('a load names a revision, options and notes', async () => {
    const seen = record('loadAdapter', described);

    await admin.loadAdapter({
      adapterId: 'a',
      revision: 'f'.repeat(64),
      pinned: true,
      metadata: { team: 'search' },
      maxWaitMs: 1500,
    });

    const { uri, revision, pinned, metadata, maxWait } = seen.request;
    assert.deepEqual([uri, revision, pinned, metadata], ['', 'f'.repeat(64), true, { team: 'search' }]);
    assert.deepEqual(maxWait, { seconds: 1, nanos: 500_000_000 });
  });

  const updates = [
    ['one option', { pinned: false }, ['pinned'], { pinned: false, maxWait: null }],
    ['notes as a whole', { metadata: {} }, ['metadata'], { metadata: {} }],
    [
      'all options',
      { weight: 2, maxWaitMs: 250, pinned: true, metadata: { team: 'search' } },
      ['weight', 'max_wait', 'pinned', 'metadata'],
      { weight: 2, maxWait: { seconds: 0, nanos: 250_000_000 }, pinned: true, metadata: { team: 'search' } },
    ],
    ['null for the default', { weight: null, maxWaitMs: null }, ['weight', 'max_wait'], { weight: 0, maxWait: null }],
    ['undefined for nothing', { weight: 3, pinned: undefined }, ['weight'], { weight: 3 }],
  ];
  for (const [name, changes, paths, values] of updates) {
    test(`an update's mask names what is given: ${name}`, async () => {
      const seen = record('updateAdapter', ({ adapter }) => ({ adapter }));

      const adapter = await admin.updateAdapter('a', changes);

      assert.equal(adapter.id, 'a');
      assert.deepEqual(seen.request.updateMask, { paths });
      for (const [key, value] of Object.entries(values)) assert.deepEqual(seen.request.adapter[key], value);
      assert.deepEqual(seen.metadata.get('x-adapter-id'), []);
    });
  }

  test('an update of nothing, or of what is no option, is not sent', async () => {
    handlers.updateAdapter = () => assert.fail('it was sent');

    await assert.rejects(admin.updateAdapter('a', {}), TypeError);
    await assert.rejects(admin.updateAdapter('a', { uri: '/a' }), /uri can't be changed/);
  });

  for (const method of ['unloadAdapter', 'deleteAdapter']) {
    test(`${method} waits longer than its drain`, async () => {
      const seen = record(method, described);
      const begun = Date.now();

      const adapter = await admin[method]('a', { drainTimeoutMs: 60_000, force: true });

      assert.equal(adapter.id, 'a');
      assert.deepEqual(seen.request, { adapterId: 'a', drainTimeout: { seconds: 60, nanos: 0 }, force: true });
      assert.ok(Number(seen.deadline) > begun + 60_000);
    });
  }

  test('an alias is set to one adapter, or to several with their shares', async () => {
    const seen = record('setAlias', ({ alias }) => ({ alias: { ...alias, updateTime: { seconds: 1 } } }));

    const alias = await admin.setAlias('prod', { 'a@0123456789': 9, b: 1 });

    const targets = [
      { adapter: 'a@0123456789', weight: 9 },
      { adapter: 'b', weight: 1 },
    ];
    assert.deepEqual(alias, { name: 'prod', targets, updateTime: new Date(1000) });
    await admin.setAlias('prod', 'a');
    assert.deepEqual(seen.request.alias.targets, [{ adapter: 'a', weight: 1 }]);
  });

  for (const weight of [0, -1, NaN]) {
    test(`a share of ${weight} is not sent: the server would read 0 as 1`, async () => {
      handlers.setAlias = () => assert.fail('it was sent');

      await assert.rejects(admin.setAlias('prod', { a: weight, b: 1 }), RangeError);
    });
  }

  test('an alias is deleted by its name', async () => {
    record('deleteAlias', ({ name }) => ({ alias: { name, targets: [] } }));

    assert.deepEqual(await admin.deleteAlias('prod'), { name: 'prod', targets: [], updateTime: null });
  });

  test('adapters are listed page after page, each with the same filter', async () => {
    const pages = { '': [['a', 'b'], '2'], 2: [['c'], ''] };
    const filters = [];
    record('listAdapters', ({ pageToken, filter }) => {
      filters.push(filter);
      const [ids, nextPageToken] = pages[pageToken];
      return { adapters: ids.map((id) => ({ id })), nextPageToken };
    });

    const ids = [];
    for await (const adapter of admin.listAdapters({ filter: 'pinned = false' })) ids.push(adapter.id);

    assert.deepEqual(ids, ['a', 'b', 'c']);
    assert.deepEqual(filters, ['pinned = false', 'pinned = false']);
  });

  test('aliases are listed page after page', async () => {
    const pages = { '': [['a'], '2'], 2: [['b'], ''] };
    const seen = record('listAliases', ({ pageToken }) => {
      const [names, nextPageToken] = pages[pageToken];
      return { aliases: names.map((name) => ({ name })), nextPageToken };
    });

    const names = [];
    for await (const alias of admin.listAliases({ pageSize: 1 })) names.push(alias.name);

    assert.deepEqual(names, ['a', 'b']);
    assert.equal(seen.request.pageSize, 1);
  });

  test('what reads is repeated while the server is unavailable, what changes something is not', async () => {
    const calls = {
      listAliases: () => admin.listAliases().next(),
      deleteAdapter: () => admin.deleteAdapter('a'),
      updateAdapter: () => admin.updateAdapter('a', { pinned: true }),
      setAlias: () => admin.setAlias('b', 'a'),
      deleteAlias: () => admin.deleteAlias('b'),
    };
    const attempts = Object.fromEntries(Object.keys(calls).map((name) => [name, 0]));
    for (const [name, call] of Object.entries(calls)) {
      handlers[name] = (_, answer) => {
        attempts[name] += 1;
        answer(failure('UNAVAILABLE', 'stopping'));
      };

      await assert.rejects(call(), { code: 'UNAVAILABLE' });
    }

    assert.deepEqual(attempts, { listAliases: 4, deleteAdapter: 1, updateAdapter: 1, setAlias: 1, deleteAlias: 1 });
  });

  test('where adapters are is told', async () => {
    record('getAdapter', () => ({
      adapter: { id: 'a', tier: 'TIER_HOST', pinned: true, metadata: { team: 'search' }, earlierRevisions: ['f'] },
    }));
    record('getServerStatus', () => ({
      adaptersByTier: { HOST: 1 },
      tierCounts: { hits: 5 },
      memory: { storeBytes: 7 },
    }));

    const { tier, pinned, metadata, earlierRevisions } = await admin.getAdapter('a');
    const { adaptersByTier, tierCounts, memory } = await admin.getServerStatus();

    assert.deepEqual([tier, pinned, metadata, earlierRevisions], ['TIER_HOST', true, { team: 'search' }, ['f']]);
    assert.deepEqual([adaptersByTier, tierCounts.hits, memory.storeBytes], [{ HOST: 1 }, 5, 7]);
  });
});
