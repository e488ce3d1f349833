/** The .proto files as grpc-js needs them: the copy that the published package carries, or those of the repository. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';

const PACKED = new URL('../proto/', import.meta.url);
const REPOSITORY = ['../../../proto/', '../../../third_party/googleapis/'].map(
  (path) => new URL(path, import.meta.url),
);

const definitions = loadSync(
  ['adaptermux/v1/infer.proto', 'adaptermux/v1/adapter_admin.proto', 'google/rpc/error_details.proto'],
  {
    includeDirs: (existsSync(PACKED) ? [PACKED] : REPOSITORY).map((url) => fileURLToPath(url)),
    longs: Number, // byte counts and row counts stay far below 2^53
    enums: String,
    defaults: true,
    oneofs: true,
  },
);

export const inferDefinition = definitions['adaptermux.v1.Infer'];
export const adminDefinition = definitions['adaptermux.v1.AdapterAdmin'];

/**
 * Decodes a message by its full name; null for a name that isn't known here.
 * @param {string} typeName for example "google.rpc.ErrorInfo"
 * @param {Uint8Array} bytes
 */
export function decode(typeName, bytes) {
  return definitions[typeName]?.deserialize?.(Buffer.from(bytes)) ?? null;
}
