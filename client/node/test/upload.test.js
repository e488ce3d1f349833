/** A folder is sent to the store: whole, with its revision, no faster than it is taken, and only where it is needed. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connectAdmin } from 'adaptermux';
import { Connection } from '../src/connection.js';
import { contentOf } from '../src/content.js';
import { adminDefinition } from '../src/protos.js';
import { failure, serve } from '../testing/fake_server.js';
import { adapterFiles, folderOf } from '../testing/folders.js';

const MIB = 1024 * 1024;
const FILES = { ...adapterFiles(MIB + 1), 'config.json': '{"id2label": {"0": "größer"}}', 'README.md': 'not sent' };

/** The sha-256 over the canonical form, made in one piece. */
function revisionOf(files) {
  const digest = createHash('sha256');
  for (const name of ['adapter_config.json', 'adapter_model.safetensors', 'config.json']) {
    if (!(name in files)) continue;
    const content = Buffer.from(files[name]);
    digest.update(Buffer.concat([Buffer.from(`${name.length}:${name}${content.length}:`), content]));
  }
  return digest.digest('hex');
}

describe('uploads', { timeout: 30_000 }, () => {
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

  /** Takes all that comes; `received` has it. */
  function takeAll(revision = 'r') {
    const received = { metadata: null, chunks: [] };
    handlers.uploadAdapter = async (call, answer) => {
      for await (const { content, metadata, chunk } of call) {
        if (content === 'metadata') received.metadata = metadata;
        else received.chunks.push(chunk);
      }
      answer(null, { revision, sizeBytes: Buffer.concat(received.chunks).length });
    };
    return received;
  }

  test('all files of a content are sent, sorted by name, with their revision', async (t) => {
    const received = takeAll('abc');

    const uploaded = await admin.uploadAdapter(await folderOf(t, FILES));

    const sent = ['adapter_config.json', 'adapter_model.safetensors', 'config.json'];
    const bytes = Buffer.concat(sent.map((name) => Buffer.from(FILES[name])));
    assert.deepEqual(uploaded, { revision: 'abc', sizeBytes: bytes.length, alreadyStored: false });
    const files = sent.map((name) => ({ name, sizeBytes: Buffer.from(FILES[name]).length }));
    assert.deepEqual(received.metadata, { files, revision: revisionOf(FILES) });
    assert.ok(Buffer.concat(received.chunks).equals(bytes));
    assert.ok(received.chunks.every(({ length }) => length > 0 && length <= MIB));
  });

  test('a known revision is sent as it is', async (t) => {
    const received = takeAll();

    await admin.uploadAdapter(await folderOf(t, adapterFiles(1)), { revision: 'f'.repeat(64) });

    assert.equal(received.metadata.revision, 'f'.repeat(64));
  });

  test('progress is told up to the last byte', async (t) => {
    takeAll();
    const files = adapterFiles(3 * MIB);
    const told = [];

    await admin.uploadAdapter(await folderOf(t, files), { onProgress: (progress) => told.push(progress) });

    const totalBytes = 3 * MIB + files['adapter_config.json'].length;
    assert.deepEqual(told.at(-1), { sentBytes: totalBytes, totalBytes });
    assert.ok(told.length > 3);
    assert.ok(told.every(({ sentBytes }, index) => index === 0 || sentBytes > told[index - 1].sentBytes));
  });

  test('a content that the store has is not sent again', async (t) => {
    handlers.uploadAdapter = (call, answer) =>
      call.once('data', ({ metadata }) => answer(null, { revision: metadata.revision, alreadyStored: true }));
    const files = adapterFiles(32 * MIB);
    let sent = 0;

    const uploaded = await admin.uploadAdapter(await folderOf(t, files), {
      onProgress: (told) => (sent = told.sentBytes),
    });

    assert.deepEqual(uploaded, { revision: revisionOf(files), sizeBytes: 0, alreadyStored: true });
    assert.ok(sent < 16 * MIB, `${sent} bytes were sent`);
  });

  test('an upload is sent no faster than the server takes it', async (t) => {
    const stalled = new Promise((resolve) => (handlers.uploadAdapter = resolve)); // reads nothing
    const folder = await folderOf(t, adapterFiles(32 * MIB));
    const controller = new AbortController();
    let sent = 0;

    const uploading = admin.uploadAdapter(folder, {
      signal: controller.signal,
      onProgress: ({ sentBytes }) => (sent = sentBytes),
    });
    const call = await stalled;
    await settled(() => sent);
    controller.abort();

    await assert.rejects(uploading, { code: 'CANCELLED' });
    assert.ok(sent < 16 * MIB, `${sent} bytes were sent`);
    if (!call.cancelled) await once(call, 'cancelled');
  });

  test("the server's refusal in the middle is what is thrown", async (t) => {
    handlers.uploadAdapter = (call, answer) => {
      call.once('data', () => answer(failure('RESOURCE_EXHAUSTED', 'the disk is full')));
    };

    const uploading = admin.uploadAdapter(await folderOf(t, adapterFiles(32 * MIB)));

    await assert.rejects(uploading, { code: 'RESOURCE_EXHAUSTED', message: 'the disk is full' });
  });

  test('what onProgress throws ends the upload and is thrown', async (t) => {
    const cancelled = new Promise((resolve) => {
      handlers.uploadAdapter = (call) => {
        call.on('cancelled', resolve);
        call.resume();
      };
    });
    const onProgress = () => {
      throw new RangeError('enough');
    };

    await assert.rejects(admin.uploadAdapter(await folderOf(t, adapterFiles(8 * MIB)), { onProgress }), RangeError);
    await cancelled;
  });

  test('a file that grows during the upload is not passed off as the content', async (t) => {
    const cancelled = new Promise((resolve) => {
      handlers.uploadAdapter = (call) => {
        call.on('cancelled', resolve);
        call.resume();
      };
    });
    const folder = await folderOf(t, adapterFiles(8 * MIB));
    const grow = () => appendFile(join(folder, 'adapter_model.safetensors'), 'x'.repeat(MIB));
    let growing = null;
    let last;
    const onProgress = (told) => {
      growing ??= grow();
      last = told;
    };

    const uploading = admin.uploadAdapter(folder, { onProgress });

    await assert.rejects(uploading, /adapter_model.safetensors changed while it was read/);
    await growing;
    await cancelled;
    assert.ok(last.sentBytes <= last.totalBytes, 'no more was sent than was announced');
  });

  test('an upload has no deadline unless it asks for one', async (t) => {
    const folder = await folderOf(t, adapterFiles(1));
    handlers.uploadAdapter = (call, answer) => {
      assert.equal(call.getDeadline(), Infinity);
      answer(null, {});
    };
    await admin.uploadAdapter(folder);

    handlers.uploadAdapter = (call) => call.resume();
    await assert.rejects(admin.uploadAdapter(folder, { timeoutMs: 50 }), { code: 'DEADLINE_EXCEEDED' });
  });

  test('an upload whose signal is aborted already is not made', async (t) => {
    takeAll();
    const folder = await folderOf(t, adapterFiles(1));

    for (const revision of [undefined, 'f'.repeat(64)]) {
      await assert.rejects(admin.uploadAdapter(folder, { signal: AbortSignal.abort(), revision }), {
        code: 'CANCELLED',
      });
    }
  });

  test('a revision is computed no further than its signal allows', async (t) => {
    const content = await contentOf(await folderOf(t, adapterFiles(1)));

    await assert.rejects(content.revision(AbortSignal.abort('enough')), { code: 'CANCELLED', cause: 'enough' });
  });

  test('whatever is sent is closed when the answer comes', async (t) => {
    handlers.uploadAdapter = (call, answer) => call.once('data', () => answer(null, {}));
    const connection = new Connection(adminDefinition, server.address, {});
    t.after(() => connection.close());
    let close;
    const closed = new Promise((resolve) => (close = resolve));
    async function* endless() {
      try {
        for (;;) yield { chunk: Buffer.alloc(MIB) };
      } finally {
        close();
      }
    }

    await connection.send('UploadAdapter', endless());

    await closed;
  });

  test('an upload is never repeated by itself', async (t) => {
    let attempts = 0;
    handlers.uploadAdapter = (_, answer) => {
      attempts += 1;
      answer(failure('UNAVAILABLE', 'stopping'));
    };

    await assert.rejects(admin.uploadAdapter(await folderOf(t, adapterFiles(1))), { code: 'UNAVAILABLE' });

    assert.equal(attempts, 1);
  });

  test('a folder without weights, with a pickle, or with a folder in their place is not sent', async (t) => {
    handlers.uploadAdapter = () => assert.fail('it was sent');
    const folder = await folderOf(t, adapterFiles(1));
    const weights = join(folder, 'adapter_model.safetensors');

    await rm(weights);
    await assert.rejects(admin.uploadAdapter(folder), { code: 'ENOENT', path: weights });
    await mkdir(weights);
    await assert.rejects(admin.uploadAdapter(folder), /is no plain file/);
    const pickled = await folderOf(t, { 'adapter_config.json': '{}', 'adapter_model.bin': 'pickle' });
    await assert.rejects(admin.uploadAdapter(pickled), /is a pickle/);
  });

  test('a push loads what was uploaded', async (t) => {
    takeAll('abc');
    let loaded;
    handlers.loadAdapter = ({ request }, answer) => {
      loaded = request;
      answer(null, { adapter: { id: request.adapterId, revision: request.revision } });
    };
    const request = {
      adapterId: 'sentiment',
      folder: await folderOf(t, FILES),
      weight: 2,
      metadata: { team: 'search' },
    };
    let sent = 0;

    const adapter = await admin.pushAdapter(request, { onProgress: ({ sentBytes }) => (sent = sentBytes) });

    assert.deepEqual([adapter.id, adapter.revision], ['sentiment', 'abc']);
    const { revision, uri, weight, metadata } = loaded;
    assert.deepEqual(
      { revision, uri, weight, metadata },
      { revision: 'abc', uri: '', weight: 2, metadata: { team: 'search' } },
    );
    assert.ok(sent > MIB);
  });

  test('nothing is loaded where the upload fails', async (t) => {
    handlers.uploadAdapter = (_, answer) => answer(failure('DATA_LOSS', 'another digest'));
    handlers.loadAdapter = () => assert.fail('it was loaded');

    const pushing = admin.pushAdapter({ adapterId: 'a', folder: await folderOf(t, FILES) });

    await assert.rejects(pushing, { code: 'DATA_LOSS' });
  });
});

/** Resolves when a number is above 0 and hasn't changed for a while. */
async function settled(read) {
  for (let before = 0; before === 0 || before !== read();) {
    before = read();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
