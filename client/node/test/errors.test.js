/** Failures carry what the server said of them, whatever that was. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { AdapterMuxError } from 'adaptermux';
import { fromServiceError } from '../src/errors.js';
import { statusBytes } from '../testing/statuses.js';

const NOT_FOUND = 5;

function serviceError(code, details, bytes) {
  const metadata = new Metadata();
  if (bytes) metadata.set('grpc-status-details-bin', bytes);
  return Object.assign(new Error(details), { code, details, metadata });
}

function facts({ message, code, reason, metadata, violations, retryAfterMs }) {
  return { message, code, reason, metadata, violations, retryAfterMs };
}

test('reason, metadata, violations and retry time are decoded from the details', () => {
  const bytes = statusBytes(NOT_FOUND, 'no such adapter', [
    ['google.rpc.ErrorInfo', { reason: 'ADAPTER_NOT_FOUND', domain: 'adaptermux', metadata: { adapter: 'a' } }],
    ['google.rpc.BadRequest', { fieldViolations: [{ field: 'inputs', description: 'are 0' }] }],
    ['google.rpc.RetryInfo', { retryDelay: { seconds: 1, nanos: 500_000_000 } }],
  ]);

  const error = fromServiceError(serviceError(NOT_FOUND, 'no such adapter', bytes));

  assert.deepEqual(facts(error), {
    message: 'no such adapter',
    code: 'NOT_FOUND',
    reason: 'ADAPTER_NOT_FOUND',
    metadata: { adapter: 'a' },
    violations: [{ field: 'inputs', description: 'are 0' }],
    retryAfterMs: 1500,
  });
});

test('an error is an AdapterMuxError that keeps its cause', () => {
  const cause = serviceError(NOT_FOUND, 'gone');

  const error = fromServiceError(cause);

  assert.ok(error instanceof AdapterMuxError && error instanceof Error);
  assert.equal(error.name, 'AdapterMuxError');
  assert.equal(error.cause, cause);
});

test('a status without details has a code and a message alone', () => {
  const error = fromServiceError(serviceError(14, 'no connection'));

  const rest = { reason: '', metadata: {}, violations: [], retryAfterMs: null };
  assert.deepEqual(facts(error), { message: 'no connection', code: 'UNAVAILABLE', ...rest });
});

test("another domain's reason is not taken for one of ours", () => {
  const info = { reason: 'ADAPTER_NOT_FOUND', domain: 'proxy.example', metadata: { adapter: 'a' } };
  const bytes = statusBytes(NOT_FOUND, 'x', [['google.rpc.ErrorInfo', info]]);

  const error = fromServiceError(serviceError(NOT_FOUND, 'x', bytes));

  assert.deepEqual([error.reason, error.metadata], ['', {}]);
});

test('details that are no status are passed over', () => {
  const error = fromServiceError(serviceError(NOT_FOUND, 'gone', Buffer.from([0xff, 0xff, 0xff])));

  assert.deepEqual([error.code, error.message, error.reason], ['NOT_FOUND', 'gone', '']);
});

test('details of an unknown type are passed over', () => {
  const bytes = statusBytes(NOT_FOUND, 'gone', [['google.rpc.Help', { links: [] }]]);

  assert.equal(fromServiceError(serviceError(NOT_FOUND, 'gone', bytes)).reason, '');
});
