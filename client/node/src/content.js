/** The content of an adapter's folder on this machine, and the revision that it has. */

import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cancelledBy } from './errors.js';

const WEIGHTS_FILE = 'adapter_model.safetensors';
const PICKLE_FILE = 'adapter_model.bin';
const OPTIONAL_FILE = 'config.json';
/** All that a content may have, sorted by name; whatever else lies in the folder has no part in it. */
const CONTENT_FILES = ['adapter_config.json', WEIGHTS_FILE, OPTIONAL_FILE];

/** What one message of an upload carries. The stream keeps up to 16 messages: of the largest (1 MiB) too many. */
const CHUNK_BYTES = 256 * 1024;

/** The files of an adapter's folder that are its content. */
export class Content {
  /** @param {{path: string, name: string, sizeBytes: number}[]} files sorted by name, as long as they were just now */
  constructor(files) {
    this.files = files;
    this.sizeBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** The bytes of all files, one after the other, in pieces. Throws if a file has another length by now. */
  async *read() {
    for (const file of this.files) yield* readFile(file);
  }

  /**
   * The lower-case hex sha-256 over the canonical form: for each file, in the order of names,
   *
   *     <length of the name>:<name><length of the content>:<content>
   *
   * with lengths in bytes, in decimal ASCII. Reads all files.
   * @param {AbortSignal} [signal]
   */
  async revision(signal) {
    const digest = createHash('sha256');
    for (const file of this.files) {
      digest.update(`${file.name.length}:${file.name}${file.sizeBytes}:`);
      for await (const part of readFile(file)) {
        if (signal?.aborted) throw cancelledBy(signal);
        digest.update(part);
      }
    }
    return digest.digest('hex');
  }
}

/**
 * Looks at an adapter's folder as `save_pretrained` writes it. Throws where a file is missing, or is no plain file.
 * @param {string} folder
 */
export async function contentOf(folder) {
  const files = await Promise.all(CONTENT_FILES.map((name) => lookAt(folder, name)));
  return new Content(files.filter((file) => file !== null));
}

/** A file with its length; null for the optional one where it is absent. */
async function lookAt(folder, name) {
  const path = join(folder, name);
  const status = await stat(path).catch(async (error) => {
    if (error.code === 'ENOENT' && name === OPTIONAL_FILE) return null;
    if (error.code === 'ENOENT' && name === WEIGHTS_FILE) await refusePickle(folder, error);
    throw error;
  });
  if (status && !status.isFile()) throw new Error(`${path} is no plain file`); // reading a pipe could wait for ever
  return status && { path, name, sizeBytes: status.size };
}

async function refusePickle(folder, cause) {
  const path = join(folder, PICKLE_FILE);
  const isThere = await stat(path).then(Boolean, () => false);
  if (isThere) throw new Error(`${path} is a pickle, which no server takes: save with safe_serialization`, { cause });
}

async function* readFile({ path, sizeBytes }) {
  let left = sizeBytes;
  const handle = await open(path);
  try {
    for (;;) {
      const { bytesRead, buffer } = await handle.read({ buffer: Buffer.allocUnsafe(CHUNK_BYTES) });
      left -= bytesRead;
      if (bytesRead === 0 || left < 0) break;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
  if (left) throw new Error(`${path} changed while it was read`);
}
