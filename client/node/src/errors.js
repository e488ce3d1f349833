/** Failures of calls: one class with data, made from a gRPC status and the details that AdapterMux sends with it. */

import { status as statusCodes } from '@grpc/grpc-js';
import { durationToMs } from './convert.js';
import { decode } from './protos.js';

const DOMAIN = 'adaptermux';
const DETAILS_KEY = 'grpc-status-details-bin';

/** A call that failed. Branch on `reason` (or on `code`), never on the message: it may be reworded. */
export class AdapterMuxError extends Error {
  name = 'AdapterMuxError';

  /**
   * @param {string} message the server's sentence for people
   * @param {object} facts
   * @param {string} facts.code name of the gRPC status, for example "NOT_FOUND"
   * @param {string} [facts.reason] name of an `ErrorReason`, for example "ADAPTER_NOT_FOUND"; empty where the failure
   *   isn't AdapterMux's own (no connection, a deadline that passed on the way)
   * @param {Record<string, string>} [facts.metadata] by the keys that error_reason.proto lists for the reason
   * @param {{field: string, description: string}[]} [facts.violations] each offending field of the request
   * @param {number | null} [facts.retryAfterMs] when a retry makes sense; null: not by itself
   * @param {unknown} [facts.cause] what it was made from: grpc-js's error, or the reason of an AbortSignal
   */
  constructor(message, { code, reason = '', metadata = {}, violations = [], retryAfterMs = null, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.reason = reason;
    this.metadata = metadata;
    this.violations = violations;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * The error of a call that grpc-js reports as failed.
 * @param {import('@grpc/grpc-js').ServiceError} error
 */
export function fromServiceError(error) {
  const plain = { code: error.code, message: error.details, details: [] };
  return fromStatus(richStatus(error.metadata) ?? plain, error);
}

/**
 * The error that a `google.rpc.Status` describes, from trailers or from inside a stream's response.
 * @param {{code: number, message: string, details: {type_url: string, value: Uint8Array}[]}} status
 * @param {unknown} [cause]
 */
export function fromStatus(status, cause) {
  const info = detail(status, 'google.rpc.ErrorInfo');
  const ours = info?.domain === DOMAIN;
  const code = statusCodes[status.code] ?? 'UNKNOWN';
  return new AdapterMuxError(status.message || code, {
    code,
    reason: ours ? info.reason : '',
    metadata: ours ? info.metadata : {},
    violations: violations(status),
    retryAfterMs: durationToMs(detail(status, 'google.rpc.RetryInfo')?.retryDelay),
    cause,
  });
}

/**
 * The error of a call that its caller has cancelled.
 * @param {AbortSignal} signal
 */
export function cancelledBy(signal) {
  return new AdapterMuxError('the call was cancelled by its signal', { code: 'CANCELLED', cause: signal.reason });
}

/** @param {import('@grpc/grpc-js').Metadata | undefined} trailers */
function richStatus(trailers) {
  const [bytes] = trailers?.get(DETAILS_KEY) ?? [];
  try {
    return bytes ? decode('google.rpc.Status', bytes) : null;
  } catch {
    return null; // a proxy's, say: the plain status still tells what happened
  }
}

function violations(status) {
  const request = detail(status, 'google.rpc.BadRequest');
  return (request?.fieldViolations ?? []).map(({ field, description }) => ({ field, description }));
}

function detail(status, typeName) {
  const found = status.details.find((any) => any.type_url.endsWith(`/${typeName}`));
  return found ? decode(typeName, found.value) : null;
}
