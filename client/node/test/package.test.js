/** The package as users get it: complete and typed. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
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
  const types = await allTypes();
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

test('the types have every enum value of the API, and every reason', async () => {
  const types = await allTypes();
  const values = [];
  for (const name of ['types', 'infer', 'adapter_admin', 'error_reason']) {
    const proto = await readFile(join(repository, `proto/adaptermux/v1/${name}.proto`), 'utf8');
    values.push(...[...proto.matchAll(/^ {2}([A-Z][A-Z_]*) = \d+;/gm)].map(([, value]) => value));
  }
  const typed = values.filter((value) => value !== 'ERROR_REASON_UNSPECIFIED'); // never sent

  const missing = typed.filter((value) => !types.includes(`'${value.replace('ERROR_REASON_', '')}'`));

  assert.deepEqual([missing, typed.length > 50], [[], true]);
});

async function allTypes() {
  const names = (await readdir(join(folder, 'src'))).filter((name) => name.endsWith('.d.ts'));
  return (await Promise.all(names.map((name) => readFile(join(folder, 'src', name), 'utf8')))).join('\n');
}
