/** Certificates made for a test by the openssl that is there: an authority, and what it signs, as PEM files. */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Signs certificates for the host `localhost`; files go into `folder`. */
export class Authority {
  #folder;
  #name;

  constructor(folder, name) {
    this.#folder = folder;
    this.#name = name;
    openssl('req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-days', '2', ...this.#files(name));
  }

  /** Path of the authority's own certificate. */
  get path() {
    return join(this.#folder, `${this.#name}.pem`);
  }

  /** Paths of a certificate and its key. */
  sign(name) {
    const path = (ending) => join(this.#folder, `${name}${ending}`);
    const [keyOption, key, , certificate] = this.#files(name);
    writeFileSync(path('.ext'), 'subjectAltName=DNS:localhost\n');
    openssl('req', '-new', ...KEY, '-subj', `/CN=${name}`, keyOption, key, '-out', path('.csr'));
    const signer = ['-CA', this.path, '-CAkey', join(this.#folder, `${this.#name}.key`), '-CAcreateserial'];
    openssl('x509', '-req', '-in', path('.csr'), ...signer, '-days', '1', '-extfile', path('.ext'), '-out', certificate);
    return { certificate, key };
  }

  #files(name) {
    return ['-keyout', join(this.#folder, `${name}.key`), '-out', join(this.#folder, `${name}.pem`)];
  }
}

/** As grpc-js's servers want them. */
export function pair({ certificate, key }) {
  return [{ cert_chain: readFileSync(certificate), private_key: readFileSync(key) }];
}

function openssl(...options) {
  execFileSync('openssl', options, { stdio: 'pipe', timeout: 10_000 });
}
