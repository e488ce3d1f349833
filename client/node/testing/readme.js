/** The README's examples, as their readers would run them. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('..', import.meta.url));

/**
 * What an example prints; throws if it fails.
 * @param {number} number of the example, from 0
 * @param {Record<string, string>} variables of its environment
 */
export async function runExample(number, variables) {
  const text = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, script] = [...text.matchAll(/```js\n(.*?)```/gs)][number];
  const options = { cwd: folder, env: { ...process.env, ...variables }, timeout: 30_000 };
  return (await run('node', ['--input-type=module', '-e', script], options)).stdout;
}
