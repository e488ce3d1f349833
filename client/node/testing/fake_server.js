/** A server whose handlers a test writes itself, to see what the client sends and how it takes an answer. */

import { once } from 'node:events';
import { createServer } from 'node:http2';
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { adminDefinition, inferDefinition } from '../src/protos.js';

/**
 * Serves `Infer` and `AdapterAdmin` by the handlers that are in the given object when a call comes.
 * @param {Record<string, Function>} handlers
 * @param {number} [port] 0: one of its own
 * @param {ServerCredentials} [credentials] default: plain
 * @returns {Promise<{address: string, port: number, stop: () => void}>}
 */
export async function serve(handlers, port = 0, credentials = ServerCredentials.createInsecure()) {
  const server = new Server();
  for (const definition of [inferDefinition, adminDefinition])
    server.addService(definition, late(definition, handlers));
  const bound = await new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${bound}`, port: bound, stop: () => server.forceShutdown() };
}

/**
 * Serves HTTP/2 streams by a handler that may break gRPC's rules, and may destroy its sessions.
 * @param {(stream: import('node:http2').ServerHttp2Stream) => void} handler
 */
export async function serveRaw(handler) {
  const server = createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {}); // the client's cancel
    handler(stream);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { address: `127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** grpc-js takes handlers when a service is added; tests set theirs later. */
function late(definition, handlers) {
  const names = Object.values(definition).map(({ originalName }) => originalName);
  return Object.fromEntries(names.map((name) => [name, (...args) => handlers[name](...args)]));
}

/** What a handler fails with: a status, and the bytes of its `google.rpc.Status` if it has one. */
export function failure(codeName, details, richBytes) {
  const metadata = new Metadata();
  if (richBytes) metadata.set('grpc-status-details-bin', richBytes);
  return { code: status[codeName], details, metadata };
}
