/** Client of AdapterMux for Node.js. */

import { AdminClient } from './admin.js';
import { Client } from './client.js';

export { AdminClient, Client };
export { AdapterMuxError } from './errors.js';

/** A client of the data listener; it connects on the first call. */
export function connect(address, options) {
  return new Client(address, options);
}

/** A client of the admin listener; it connects on the first call. */
export function connectAdmin(address, options) {
  return new AdminClient(address, options);
}
