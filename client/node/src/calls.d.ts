/** What calls of both listeners take, and what both tell. (Types alone: there is no calls.js.) */

import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';

export interface ConnectOptions {
  /** Default: no encryption. */
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
