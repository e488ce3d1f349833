/** Bytes of `google.rpc.Status` messages, as a server would send them. */

import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

const definitions = loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], {
  includeDirs: [fileURLToPath(new URL('../../../third_party/googleapis/', import.meta.url))],
});

/** @param {[string, object][]} details type names with their messages */
export function statusBytes(code, message, details) {
  const packed = details.map(([typeName, content]) => ({
    type_url: `type.googleapis.com/${typeName}`,
    value: definitions[typeName].serialize(content),
  }));
  return definitions['google.rpc.Status'].serialize({ code, message, details: packed });
}
