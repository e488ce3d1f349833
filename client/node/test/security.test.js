/** TLS and tokens. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { credentials, ServerCredentials } from '@grpc/grpc-js';
import { connect, connectAdmin } from 'adaptermux';
import { Authority, pair } from '../testing/certificates.js';
import { failure, serve } from '../testing/fake_server.js';

const SECRET = 'amx_a-secret-that-nobody-may-read';
const BEARER = [`Bearer ${SECRET}`];

describe('TLS', { timeout: 60_000 }, () => {
  let folder;
  let ours;
  let theirs;
  let server;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'adaptermux-'));
    ours = new Authority(folder, 'ours');
    theirs = new Authority(folder, 'theirs');
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(() => server?.stop());

  async function listen(clientAuthority) {
    const roots = clientAuthority && readFileSync(clientAuthority.path);
    const secure = ServerCredentials.createSsl(roots ?? null, pair(ours.sign('server')), Boolean(roots));
    server = await serve({ getModel: (_, answer) => answer(null, { modelId: 'tiny' }) }, 0, secure);
    return { named: `localhost:${server.port}`, numbered: server.address };
  }

  async function outcome(address, options) {
    const client = connect(address, { timeoutMs: 5_000, ...options });
    try {
      return (await client.getModel()).modelId;
    } catch (error) {
      return error.code;
    } finally {
      client.close();
    }
  }

  test('a client that trusts the authority is answered, and no other', async () => {
    const { named } = await listen();

    assert.equal(await outcome(named, { tls: { ca: ours.path } }), 'tiny');
    assert.equal(await outcome(named, { tls: { ca: readFileSync(ours.path) } }), 'tiny');
    for (const tls of [{ ca: theirs.path }, {}, true, undefined, false])
      assert.equal(await outcome(named, { tls }), 'UNAVAILABLE');
  });

  test('the certificate must be for the host, or for the name that is given', async () => {
    const { numbered } = await listen();
    const tls = { ca: ours.path };

    assert.equal(await outcome(numbered, { tls: { ...tls, serverName: 'localhost' } }), 'tiny');
    assert.equal(await outcome(numbered, { tls }), 'UNAVAILABLE');
    assert.equal(await outcome(numbered, { tls: { ...tls, serverName: 'x.example' } }), 'UNAVAILABLE');
  });

  test('a server that wants a certificate gets it', async () => {
    const { named } = await listen(ours);

    assert.equal(await outcome(named, { tls: { ca: ours.path, ...ours.sign('mine') } }), 'tiny');
    assert.equal(await outcome(named, { tls: { ca: ours.path } }), 'UNAVAILABLE');
    assert.equal(await outcome(named, { tls: { ca: ours.path, ...theirs.sign('other') } }), 'UNAVAILABLE');
  });

  test('options that are half, misspelt or double are refused', () => {
    const { certificate, key } = ours.sign('half');

    for (const tls of [{ certificate }, { key }]) assert.throws(() => connect('', { tls }), /certificate and key/);
    assert.throws(() => connect('', { tls: { cafile: ours.path } }), /tls\.cafile/);
    assert.throws(() => connect('', { tls: true, credentials: credentials.createInsecure() }), /tls/);
    assert.throws(() => connect('', { tls: { ca: join(folder, 'missing.pem') } }), /missing\.pem/);
  });
});

describe('tokens', { timeout: 30_000 }, () => {
  let handlers;
  let server;

  beforeEach(async () => {
    handlers = {};
    server = await serve(handlers);
  });
  afterEach(() => server.stop());

  async function using(make, options, act) {
    const client = make(server.address, options);
    try {
      return await act(client);
    } finally {
      client.close();
    }
  }

  const seen = (call) => call.metadata.get('authorization');

  for (const [kind, token] of Object.entries({ 'a string': SECRET, 'a function': () => SECRET })) {
    test(`every kind of call carries the token that is ${kind}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'adaptermux-'));
      t.after(() => rmSync(folder, { recursive: true }));
      for (const name of ['adapter_config.json', 'adapter_model.safetensors']) writeFileSync(join(folder, name), '{}');
      const found = [];
      const note = (call) => found.push(seen(call));
      handlers.getModel = (call, answer) => (note(call), answer(null, {}));
      handlers.streamAnalyze = (call) => (note(call), call.end());
      handlers.uploadAdapter = (call, answer) => (note(call), call.resume(), answer(null, { revision: 'r' }));
      handlers.watchBatches = (call) => (note(call), call.end());
      handlers.loadAdapter = (call, answer) => (note(call), answer(null, { adapter: {} }));

      await using(connect, { token }, async (client) => {
        await client.getModel();
        for await (const _ of client.streamAnalyze([]));
      });
      await using(connectAdmin, { token }, async (admin) => {
        await admin.loadAdapter({ adapterId: 'acme', uri: '/a' });
        await admin.uploadAdapter(folder);
        for await (const _ of admin.watchBatches());
      });

      assert.deepEqual(found, [BEARER, BEARER, BEARER, BEARER, BEARER]);
    });
  }

  test('without a token there is no authorization', async () => {
    let found;
    handlers.getModel = (call, answer) => {
      found = seen(call);
      answer(null, {});
    };

    await using(connect, {}, (client) => client.getModel());

    assert.deepEqual(found, []);
  });

  test('a function is asked before each call, and again when a watch connects again', async () => {
    const found = [];
    handlers.watchAdapters = (call) => {
      found.push(...seen(call));
      if (found.length < 3) {
        call.write({ removedAdapterId: 'acme', resumeToken: 'x' });
        call.emit('error', failure('UNAVAILABLE', 'away'));
      } else call.emit('error', failure('UNAUTHENTICATED', 'expired'));
    };
    let number = 0;

    const watching = using(connectAdmin, { token: () => `t${++number}` }, async (admin) => {
      for await (const _ of admin.watchAdapters());
    });

    await assert.rejects(watching, { code: 'UNAUTHENTICATED' });
    assert.deepEqual(found, ['Bearer t1', 'Bearer t2', 'Bearer t3']);
  });

  for (const code of ['UNAUTHENTICATED', 'PERMISSION_DENIED']) {
    test(`${code} is not retried`, async () => {
      let calls = 0;
      handlers.getModel = (_, answer) => {
        calls += 1;
        answer(failure(code, 'no'));
      };

      await assert.rejects(
        using(connect, { token: SECRET }, (client) => client.getModel()),
        { code },
      );

      assert.equal(calls, 1);
    });
  }

  const broken = ['', ' ', 'two words', 'a\nb', 'amx\r\nx-admin: 1', 'schlüssel', '\x7f', 'amx_☃', 7, Buffer.from('amx')];
  for (const token of broken) {
    test(`${JSON.stringify(token)} is refused as a token, and not repeated`, async () => {
      const refused = (error) => error instanceof TypeError && /^token: must be printable/.test(error.message);

      assert.throws(() => connect(server.address, { token }), refused);
      await using(connect, { token: () => token }, async (client) => {
        await assert.rejects(client.getModel(), refused);
        await assert.rejects(client.streamAnalyze([]).next(), refused);
      });
    });
  }

  test('no secret is shown', async () => {
    handlers.getModel = (_, answer) => answer(failure('UNAUTHENTICATED', 'no'), null);

    const shown = await using(connect, { token: SECRET }, async (client) => {
      const error = await client.getModel().catch((thrown) => thrown);
      const deep = { depth: Infinity, showHidden: true };
      return [client, error].map((each) => inspect(each, deep)).join() + JSON.stringify([client, error]) + error.stack;
    });

    assert.match(shown, /UNAUTHENTICATED/);
    assert.equal(shown.includes(SECRET), false);
  });
});
