/** Against a real server: what the table of tests/conformance says; then an adapter's life, from a folder to its end. */
// Both in one file, since files are run side by side and the table lists all adapters.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect, connectAdmin } from 'adaptermux';
import { differences } from '../testing/matching.js';
import { runExample } from '../testing/readme.js';
import { Runner } from '../testing/runner.js';

const path = process.env.ADAPTERMUX_CONFORMANCE;
const table = path && JSON.parse(readFileSync(path, 'utf8'));
const options = { skip: !path && 'needs a server: run `make test-node`', timeout: 120_000 };

describe('conformance', options, () => {
  if (!path) return;
  const runner = new Runner(table);
  after(() => runner.close());

  for (const testCase of table.cases) {
    test(testCase.name, async () => {
      const outcome = await runner.perform(testCase);

      assert.deepEqual(differences(testCase.expect, outcome, table.tolerance), []);
    });
  }
});

describe('an adapter that is pushed', options, () => {
  if (!path) return;
  const ID = 'node-pushed';
  const ALIAS = 'node-prod';
  const client = connect(table.dataAddress);
  const admin = connectAdmin(table.adminAddress);
  let source;
  let folder;
  let pushed;

  before(async () => {
    source = await sourceOf(table.adminAddress, 'sentiment');
    folder = pushable(source);
  });
  after(() => {
    client.close();
    admin.close();
    rmSync(folder, { recursive: true });
  });

  test('what the server has already is found by the revision that is computed here', async () => {
    const { revision, alreadyStored } = await admin.uploadAdapter(source);

    const sentiment = await admin.getAdapter('sentiment');
    assert.deepEqual([revision, alreadyStored], [sentiment.revision, true]);
  });

  test('it serves under its labels, and is found by its notes', async () => {
    const progress = [];
    const request = { adapterId: ID, folder, pinned: true, metadata: { team: 'search' } };

    pushed = await admin.pushAdapter(request, { onProgress: (told) => progress.push(told) });

    const { results, adapter } = await client.classify({ adapter: ID, inputs: ['a good dog'] });
    assert.deepEqual(results[0].labels.map(({ label }) => label).sort(), ['bad', 'good', 'so-so']);
    assert.deepEqual(adapter, { id: ID, revision: pushed.revision });
    assert.deepEqual([pushed.state, pushed.uri, pushed.pinned], ['ADAPTER_STATE_READY', '', true]);
    assert.equal(progress.at(-1).sentBytes, progress.at(-1).totalBytes);
    const found = await collected(admin.listAdapters({ filter: 'metadata.team = search AND pinned = true' }));
    assert.deepEqual(
      found.map(({ id }) => id),
      [ID],
    );
  });

  test('what arrives with another digest is refused', async () => {
    const uploading = admin.uploadAdapter(folder, { revision: '0'.repeat(64) });

    await assert.rejects(uploading, { code: 'DATA_LOSS', reason: 'DIGEST_MISMATCH' });
  });

  test('an update changes what is given alone', async () => {
    await admin.updateAdapter(ID, { weight: 3, maxWaitMs: 750 });
    const updated = await admin.updateAdapter(ID, { pinned: false, weight: null });

    const { weight, maxWaitMs, pinned, metadata } = updated;
    assert.deepEqual(
      { weight, maxWaitMs, pinned, metadata },
      { weight: 1, maxWaitMs: 750, pinned: false, metadata: { team: 'search' } },
    );
  });

  test('an alias splits requests by their keys, and keeps its adapters from being deleted', async () => {
    await admin.setAlias(ALIAS, { sentiment: 1, [ID]: 1 });
    const ask = async (requestKey) => {
      const { adapter } = await client.classify({ adapter: ALIAS, inputs: ['a good dog'] }, { requestKey });
      return adapter.id;
    };
    const keys = Array.from({ length: 40 }, (_, index) => `user-${index}`);

    const first = await Promise.all(keys.map(ask));
    const second = await Promise.all(keys.map(ask));

    assert.deepEqual(second, first);
    assert.deepEqual(new Set(first), new Set(['sentiment', ID]));
    const aliases = await collected(admin.listAliases());
    assert.deepEqual(
      aliases.map(({ name }) => name),
      [ALIAS],
    );
    await assert.rejects(admin.deleteAdapter(ID), { reason: 'ALIASED', metadata: { adapter: ID, aliases: ALIAS } });
    await admin.deleteAlias(ALIAS);
    await assert.rejects(admin.deleteAlias(ALIAS), { reason: 'ALIAS_NOT_FOUND', metadata: { alias: ALIAS } });
  });

  test('a watch tells what there is, then what changes, and goes on from a token', async () => {
    const events = admin.watchAdapters();
    const snapshot = [];
    for (let event; event?.event !== 'snapshotEnd'; snapshot.push(event)) event = (await events.next()).value;
    await admin.setAlias(ALIAS, ID);
    const { value: set } = await events.next();
    await events.return();
    await admin.deleteAlias(ALIAS);
    const { value: removed } = await admin.watchAdapters({ resumeToken: set.resumeToken }).next();

    assert.equal(snapshot[0].event, 'snapshotBegin');
    assert.ok(snapshot.some(({ adapter }) => adapter?.id === ID));
    assert.deepEqual([set.event, set.alias.targets], ['alias', [{ adapter: ID, weight: 1 }]]);
    assert.deepEqual([removed.event, removed.removedAliasName], ['removedAliasName', ALIAS]);
  });

  test('an earlier revision is loaded again by its name', async () => {
    rename(folder, ['low', 'middle', 'high']);
    const next = await admin.pushAdapter({ adapterId: ID, folder });

    const back = await admin.loadAdapter({ adapterId: ID, revision: pushed.revision });

    assert.deepEqual(next.earlierRevisions, [pushed.revision]);
    assert.deepEqual([back.revision, back.labels], [pushed.revision, ['bad', 'so-so', 'good']]);
  });

  test('once deleted its content is gone', async () => {
    const deleted = await admin.deleteAdapter(ID);

    assert.equal(deleted.state, 'ADAPTER_STATE_UNLOADED');
    const loading = admin.loadAdapter({ adapterId: ID, revision: pushed.revision });
    await assert.rejects(loading, { reason: 'REVISION_NOT_FOUND', metadata: { digest: pushed.revision } });
    await admin.unloadAdapter(ID); // forgets the load that failed
  });
});

describe("the README's examples", options, () => {
  if (!path) return;

  test('ask and stream', async () => {
    const stdout = await runExample(0, { ADAPTERMUX_ADDRESS: table.dataAddress });

    assert.match(stdout, /^\{ label: '.+', score: .+ \}\ndid you mean sentiment\?\n/);
    assert.match(stdout, /0 \[ 'classification', 'embedding' \]/);
  });

  test('push, change, watch and delete', async (t) => {
    const folder = pushable(await sourceOf(table.adminAddress, 'sentiment'));
    t.after(() => rmSync(folder, { recursive: true }));

    const stdout = await runExample(1, { ADAPTERMUX_ADMIN_ADDRESS: table.adminAddress, FOLDER: folder });

    assert.match(stdout, /(\d+) of \1 bytes\ngreeting TIER_DEVICE\ngreeting-prod 2\n$/);
  });
});

/** The folder from which an adapter was loaded. */
async function sourceOf(address, adapterId) {
  const admin = connectAdmin(address);
  const { uri } = await admin.getAdapter(adapterId).finally(() => admin.close());
  return uri.startsWith('file:') ? fileURLToPath(uri) : uri;
}

/** A copy whose labels have other names, so that its content is another. */
function pushable(source) {
  const folder = mkdtempSync(join(tmpdir(), 'adaptermux-'));
  cpSync(source, folder, { recursive: true });
  rename(folder, ['bad', 'so-so', 'good']);
  return folder;
}

function rename(folder, labels) {
  const config = join(folder, 'config.json');
  const content = JSON.parse(readFileSync(config, 'utf8'));
  content.id2label = Object.fromEntries(labels.entries());
  content.label2id = Object.fromEntries(labels.map((label, index) => [label, index]));
  writeFileSync(config, JSON.stringify(content));
}

async function collected(items) {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}
