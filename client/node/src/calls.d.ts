/** What calls of both listeners take, and what both tell. (Types alone: there is no calls.js.) */

import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';

/** PEM: its bytes, or the path of a file that holds it. Files are read once, when a client is made. */
export type Pem = Buffer | string | URL;

export interface TlsOptions {
  /** The authorities that may have signed the server's certificate. Default: the public ones that Node.js brings along. */
  ca?: Pem;
  /** The client's own certificate, followed by those between it and a root. With `key` alone. */
  certificate?: Pem;
  /** Its private key, not encrypted. */
  key?: Pem;
  /** The name that the server's certificate is for, where that isn't the host of the address. */
  serverName?: string;
}

export interface ConnectOptions {
  /** Default: no encryption. `true`: as without any of its options. */
  tls?: boolean | TlsOptions;
  /**
   * A bearer token; or what gives one, asked before each call, so that tokens can change. It goes with each call, on
   * channels without TLS too.
   */
  token?: string | (() => string);
  /** Of grpc-js, in place of `tls`. */
  credentials?: ChannelCredentials;
  /** Milliseconds for a call, retries included, unless it says otherwise. Default: 30,000; of the admin 120,000. */
  timeoutMs?: number;
  /** Of grpc-js; they win over this client's. */
  channelOptions?: ChannelOptions;
}

export interface CallOptions {
  /** Milliseconds, retries included; Infinity: none. */
  timeoutMs?: number;
  /** Cancels the call: it fails with code CANCELLED, and its place in the server's queue is free again. */
  signal?: AbortSignal;
  /** Further request metadata. */
  metadata?: Record<string, string>;
}

export type ProblemType =
  'PROBLEM_TYPE_UNSPECIFIED' | 'PROBLEM_TYPE_SINGLE_LABEL' | 'PROBLEM_TYPE_MULTI_LABEL' | 'PROBLEM_TYPE_REGRESSION';
export type Task =
  | 'TASK_UNSPECIFIED'
  | 'TASK_SEQUENCE_CLASSIFICATION'
  | 'TASK_TOKEN_CLASSIFICATION'
  | 'TASK_QUESTION_ANSWERING'
  | 'TASK_FEATURE_EXTRACTION';
