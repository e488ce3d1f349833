/** The package as users get it: complete, typed, and with an example that runs. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as adaptermux from 'adaptermux';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('..', import.meta.url));
const repository = join(folder, '../..');
const PACKED = ['package.json', 'README.md', 'src', 'scripts'];
const tablePath = process.env.ADAPTERMUX_CONFORMANCE;

test(
  'the packed package carries the .proto files and works outside of the repository',
  { timeout: 60_000 },
  async (t) => {
    const outside = await mkdtemp(join(tmpdir(), 'adaptermux-'));
    t.after(() => rm(outside, { recursive: true }));
    // Packed from a copy: packing puts .proto files into the folder from which the other tests run at the same time.
    for (const path of ['proto', 'third_party', ...PACKED.map((name) => `client/node/${name}`)]) {
      await cp(join(repository, path), join(outside, path), { recursive: true });
    }
    const { stdout: tarball } = await run('npm', ['pack', '--silent'], { cwd: join(outside, 'client/node') });
    await run('tar', ['-xzf', join('client/node', tarball.trim())], { cwd: outside });
    await symlink(join(folder, 'node_modules'), join(outside, 'node_modules'));
    await rm(join(outside, 'proto'), { recursive: true });

    const script = "import { connect } from 'adaptermux'; console.log(typeof connect().classify);";
    const { stdout } = await run('node', ['--input-type=module', '-e', script], { cwd: join(outside, 'package') });

    assert.equal(stdout, 'function\n');
  },
);

test('all that is exported has types', async () => {
  const types = await readFile(new URL('../src/index.d.ts', import.meta.url), 'utf8');
  const classes = [adaptermux.Client, adaptermux.AdminClient];
  const names = [
    ...Object.keys(adaptermux),
    ...classes.flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype)),
  ];

  assert.deepEqual(
    names.filter((name) => !new RegExp(`(class|function|  )\\s*${name}\\b`).test(types)),
    [],
  );
});

test("the README's example runs", { skip: !tablePath && 'needs a server: run `make test-node`' }, async () => {
  const [, script] = /```js\n(.*?)```/s.exec(await readFile(join(folder, 'README.md'), 'utf8'));
  const { dataAddress } = JSON.parse(await readFile(tablePath, 'utf8'));
  const env = { ...process.env, ADAPTERMUX_ADDRESS: dataAddress };

  const { stdout } = await run('node', ['--input-type=module', '-e', script], { cwd: folder, env, timeout: 30_000 });

  assert.match(stdout, /^\{ label: '.+', score: .+ \}\ndid you mean sentiment\?\n/);
  assert.match(stdout, /0 \[ 'classification', 'embedding' \]/);
});
