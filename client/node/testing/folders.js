/** Folders of adapters for tests: the client looks at names and bytes only. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Of a prime length, so that pieces of it in another order are other bytes. */
const PATTERN = Uint8Array.from({ length: 251 }, (_, index) => index);

/** A folder with these files, which goes with the test. */
export async function folderOf(t, files) {
  const folder = await mkdtemp(join(tmpdir(), 'adaptermux-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** The files of an adapter with weights of this many bytes. */
export function adapterFiles(weightBytes) {
  const weights = Buffer.alloc(weightBytes, PATTERN);
  return { 'adapter_config.json': '{"r": 8}', 'adapter_model.safetensors': weights };
}
