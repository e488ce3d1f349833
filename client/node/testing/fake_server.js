/** A server whose handlers a test writes itself, to see what the client sends and how it takes an answer. */

import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { adminDefinition, inferDefinition } from '../src/protos.js';

/**
 * Serves the given handlers of `Infer` and `AdapterAdmin` on a port of its own.
 * @param {Record<string, Function>} handlers
 * @returns {Promise<{address: string, stop: () => void}>}
 */
export async function serve(handlers) {
  const server = new Server();
  server.addService(inferDefinition, handlers);
  server.addService(adminDefinition, handlers);
  const port = await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() };
}

/** What a handler fails with: a status, and the bytes of its `google.rpc.Status` if it has one. */
export function failure(codeName, details, richBytes) {
  const metadata = new Metadata();
  if (richBytes) metadata.set('grpc-status-details-bin', richBytes);
  return { code: status[codeName], details, metadata };
}
