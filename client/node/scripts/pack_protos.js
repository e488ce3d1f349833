/** Copies the .proto files into the package before it is packed, and removes the copy (`--clean`) after. */

import { cpSync, rmSync } from 'node:fs';

const copy = new URL('../proto/', import.meta.url);
const sources = ['../../../proto/', '../../../third_party/googleapis/'];

rmSync(copy, { recursive: true, force: true });
if (!process.argv.includes('--clean')) {
  for (const source of sources) {
    const isProto = (path) => !/\.[^./]+$/.test(path) || path.endsWith('.proto');
    cpSync(new URL(source, import.meta.url), copy, { recursive: true, filter: (path) => isProto(path) });
  }
}
