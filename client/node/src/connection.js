/** One channel to one listener, and the way in which calls are made on it: deadlines, cancelling, retries, errors. */

import { credentials as channelCredentials, makeClientConstructor, Metadata } from '@grpc/grpc-js';
import { AdapterMuxError, fromServiceError } from './errors.js';

const ROUTING_KEY = 'x-adapter-id';
const ROUTABLE = /^[!-~]+$/; // what a header can carry; the server refuses any other id anyway

const READS = ['GetAdapter', 'ListAdapters', 'GetServerStatus'];
const INFERENCE = ['Classify', 'TagTokens', 'Answer', 'Embed', 'Analyze', 'Tokenize', 'GetModel'];

/**
 * Reads are repeated when the connection fails, inference also when the queue is full: a refused request cost nothing.
 * Loads and unloads are never repeated by themselves. The throttle keeps retries from feeding an overload.
 * See https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
 */
const SERVICE_CONFIG = {
  methodConfig: [
    retry('adaptermux.v1.Infer', INFERENCE, ['UNAVAILABLE', 'RESOURCE_EXHAUSTED']),
    retry('adaptermux.v1.Infer', ['StreamAnalyze'], ['UNAVAILABLE']),
    retry('adaptermux.v1.AdapterAdmin', READS, ['UNAVAILABLE']),
  ],
  retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
};

const CHANNEL_OPTIONS = {
  'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
  'grpc.enable_retries': 1,
  // Answers are as large as the caller asked for; the server bounds requests.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // Notices a dead peer during a long call. More often than the server allows would end the connection.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/** A channel with the calls of one service. */
export class Connection {
  #stub;
  #timeoutMs;

  /**
   * @param {object} definition of the service
   * @param {string} address host and port
   * @param {import('./index.js').ConnectOptions} options
   */
  constructor(definition, address, { credentials, timeoutMs, channelOptions }) {
    const Stub = makeClientConstructor(definition, 'AdapterMux');
    const options = { ...CHANNEL_OPTIONS, ...channelOptions };
    this.#stub = new Stub(address, credentials ?? channelCredentials.createInsecure(), options);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Makes a unary call.
   * @param {string} rpc name as in the .proto file
   * @param {object} request
   * @param {import('./index.js').CallOptions} options
   */
  unary(rpc, request, options = {}) {
    const { signal } = options;
    if (signal?.aborted) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      const call = this.#stub[rpc](
        request,
        metadata(request, options),
        this.#callOptions(options),
        (error, response) => {
          stopListening();
          if (error) reject(signal?.aborted ? aborted(signal) : fromServiceError(error));
          else resolve(response);
        },
      );
      const stopListening = onAbort(signal, () => cancel(call));
    });
  }

  /**
   * Opens a stream of requests and responses, and yields the responses. Leaving the loop cancels the rest.
   * @param {string} rpc
   * @param {Iterable<object> | AsyncIterable<object>} requests drawn as fast as the server takes them
   * @param {import('./index.js').CallOptions} options its `timeoutMs` is for the whole stream; absent: none
   */
  async *stream(rpc, requests, options = {}) {
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    const call = this.#stub[rpc](
      metadata({}, options),
      this.#callOptions({ timeoutMs: options.timeoutMs ?? Infinity }),
    );
    call.on('error', () => {}); // it is thrown by the loop below; after the loop nobody is left to hear it
    const stopListening = onAbort(signal, () => cancel(call));
    const feed = new Feed(call, requests);
    try {
      yield* call;
      feed.throwFailure();
    } catch (error) {
      feed.throwFailure();
      throw signal?.aborted ? aborted(signal) : fromServiceError(error);
    } finally {
      feed.close();
      stopListening();
      call.cancel();
    }
  }

  /** Closes the channel. Calls in flight are cancelled. */
  close() {
    this.#stub.close();
  }

  #callOptions({ timeoutMs = this.#timeoutMs }) {
    return timeoutMs === Infinity ? {} : { deadline: Date.now() + timeoutMs };
  }
}

/** The sending side of a stream: writes each request when there is room for it. */
class Feed {
  #failure = null;
  #closing = new AbortController();

  constructor(call, requests) {
    this.#send(call, requests).catch((error) => {
      if (this.#closing.signal.aborted) return;
      this.#failure = { error };
      call.cancel();
    });
  }

  throwFailure() {
    if (this.#failure) throw this.#failure.error;
  }

  close() {
    this.#closing.abort();
  }

  async #send(call, requests) {
    for await (const request of requests) {
      if (this.#closing.signal.aborted) return;
      if (!call.write(request)) await drained(call, this.#closing.signal);
    }
    call.end();
  }
}

function drained(call, closing) {
  return new Promise((resolve) => {
    call.once('drain', resolve);
    closing.addEventListener('abort', resolve, { once: true });
  });
}

function metadata({ adapter }, options) {
  const result = new Metadata();
  if (adapter && ROUTABLE.test(adapter)) result.set(ROUTING_KEY, adapter);
  for (const [key, value] of Object.entries(options.metadata ?? {})) result.set(key, value);
  return result;
}

function onAbort(signal, listener) {
  signal?.addEventListener('abort', listener, { once: true });
  return () => signal?.removeEventListener('abort', listener);
}

function cancel(call) {
  call.cancel();
  // Before grpc-js (1.14) has picked a connection it forgets the cancel and sends the request all the same.
  setImmediate(() => call.cancel());
}

function aborted(signal) {
  return new AdapterMuxError('the call was cancelled by its signal', { code: 'CANCELLED', cause: signal.reason });
}

function retry(service, methods, retryableStatusCodes) {
  return {
    name: methods.map((method) => ({ service, method })),
    retryPolicy: {
      maxAttempts: 4,
      initialBackoff: '0.1s',
      maxBackoff: '2s',
      backoffMultiplier: 3,
      retryableStatusCodes,
    },
  };
}
