/** How a client makes sure of whom it talks to, and shows who it is: TLS, and tokens. */

import { readFileSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';

const TOKEN = /^[!-~]+$/; // what a header can carry

/**
 * Credentials of a channel, and the options that go with them.
 * @param {import('./index.js').ConnectOptions} options
 */
export function channelSecurity({ credentials: given, tls }) {
  if (given && tls) throw new TypeError('tls: credentials that are given have their own');
  if (!tls) return { credentials: given ?? credentials.createInsecure(), options: {} };
  const { ca, certificate, key, serverName, ...rest } = tls === true ? {} : tls;
  // A misspelt `ca` would have public authorities trusted in its place.
  const [unknown] = Object.keys(rest);
  if (unknown) throw new TypeError(`tls.${unknown}: no such option`);
  if (!certificate !== !key) throw new TypeError('tls: give certificate and key, or neither');
  return {
    credentials: credentials.createSsl(pem(ca), pem(key), pem(certificate)),
    options: serverName ? { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName } : {},
  };
}

/**
 * What gives the `authorization` of a call; null: it has none. Throws a TypeError for a token that no header can carry.
 * @param {import('./index.js').ConnectOptions['token']} token
 */
export function authorizer(token) {
  if (token === undefined || token === null) return null;
  if (typeof token === 'function') return () => bearer(token());
  const value = bearer(token);
  return () => value;
}

function bearer(token) {
  // The message must not quote it.
  if (typeof token !== 'string' || !TOKEN.test(token))
    throw new TypeError('token: must be printable ASCII without blanks, and not empty');
  return `Bearer ${token}`;
}

/** PEM as bytes, of a file if it is given as a path. */
function pem(given) {
  return given ? (Buffer.isBuffer(given) ? given : readFileSync(given)) : null;
}
