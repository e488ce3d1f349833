/** Client of AdapterMux for Node.js. The .proto files tell more of each field; numbers of bytes and rows are numbers. */

import type { AdminClient } from './admin.js';
import type { ConnectOptions } from './calls.js';
import type { Client } from './client.js';

export * from './admin.js';
export * from './calls.js';
export * from './client.js';
export * from './errors.js';

/** A client of the data listener (default 127.0.0.1:50051); it connects on the first call. */
export function connect(address?: string, options?: ConnectOptions): Client;

/** A client of the admin listener (default 127.0.0.1:50052); it connects on the first call. */
export function connectAdmin(address?: string, options?: ConnectOptions): AdminClient;
