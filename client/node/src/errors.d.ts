/** Failures of calls. */

/** By which failures are told apart; error_reason.proto says of each what it means and what to do. */
export type ErrorReason =
  | 'INVALID_REQUEST'
  | 'INPUT_TOO_LONG'
  | 'ADAPTER_NOT_FOUND'
  | 'ADAPTER_NOT_READY'
  | 'ADAPTER_REQUIRED'
  | 'TASK_MISMATCH'
  | 'QUEUE_FULL'
  | 'DEADLINE_EXCEEDED'
  | 'ADAPTER_UNLOADED'
  | 'SHUTTING_DOWN'
  | 'INTERNAL'
  | 'SOURCE_INVALID'
  | 'SOURCE_FORBIDDEN'
  | 'CONFIG_UNSUPPORTED'
  | 'BASE_MISMATCH'
  | 'CHECKPOINT_MISMATCH'
  | 'HEAD_INCOMPLETE'
  | 'CONCURRENT_CHANGE'
  | 'DRAIN_TIMEOUT'
  | 'REVISION_NOT_FOUND'
  | 'DIGEST_MISMATCH'
  | 'STORE_FULL'
  | 'STORE_UNAVAILABLE'
  | 'ALIAS_NOT_FOUND'
  | 'ALIASED'
  | 'UPLOAD_STALLED'
  | 'UPLOADS_FULL'
  | 'MEMORY_FULL'
  | 'SOURCE_UNAVAILABLE'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED';

/** A call that failed. Branch on `reason` (or on `code`), never on the message: it may be reworded. */
export class AdapterMuxError extends Error {
  /** Name of the gRPC status, for example "NOT_FOUND". */
  readonly code: string;
  /** Empty where the failure isn't AdapterMux's own; a newer server may have others. */
  readonly reason: ErrorReason | '' | (string & {});
  /** By the keys that error_reason.proto lists for the reason. */
  readonly metadata: Record<string, string>;
  /** Each offending field of the request. */
  readonly violations: { field: string; description: string }[];
  /** When a retry makes sense; null: not by itself. */
  readonly retryAfterMs: number | null;
}
