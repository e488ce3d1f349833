/** One channel to one listener, and the way in which calls are made on it: deadlines, cancelling, retries, errors. */

import { makeClientConstructor, Metadata } from '@grpc/grpc-js';
import { AdapterMuxError, cancelledBy, fromServiceError } from './errors.js';
import { Feed } from './feed.js';
import { authorizer, channelSecurity } from './security.js';

const AUTHORIZATION = 'authorization';
const ROUTING_KEY = 'x-adapter-id';
const REQUEST_KEY = 'x-request-key';
const ROUTABLE = /^[!-~]+$/; // what a header can carry; the server refuses any other id anyway

const READS = ['GetAdapter', 'ListAdapters', 'ListAliases', 'GetServerStatus'];
const INFERENCE = ['Classify', 'TagTokens', 'Answer', 'Embed', 'Analyze', 'Tokenize', 'GetModel'];

/**
 * Reads are repeated when the connection fails, inference also when the queue is full: a refused request cost nothing.
 * What changes something is never repeated by itself. The throttle keeps retries from feeding an overload.
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
  // A server that was away for long is found again as soon as a watch asks for it (grpc-js's own bound is 2 minutes).
  'grpc.max_reconnect_backoff_ms': 5_000,
};

/** A channel with the calls of one service. */
export class Connection {
  #stub;
  #timeoutMs;
  #authorization;
  #isClosed = false;
  #calls = new Set();

  /**
   * @param {object} definition of the service
   * @param {string} address host and port
   * @param {import('./index.js').ConnectOptions} options
   */
  constructor(definition, address, { timeoutMs, channelOptions, token, ...security }) {
    const Stub = makeClientConstructor(definition, 'AdapterMux');
    this.#authorization = authorizer(token);
    const { credentials, options } = channelSecurity(security);
    this.#stub = new Stub(address, credentials, { ...CHANNEL_OPTIONS, ...options, ...channelOptions });
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Makes a unary call.
   * @param {string} rpc name as in the .proto file
   * @param {object} request
   * @param {import('./index.js').CallOptions} options
   */
  async unary(rpc, request, options = {}) {
    this.#refuse(options.signal);
    const about = this.#metadata(request, options);
    const begin = (done) => this.#stub[rpc](request, about, this.#callOptions(options), done);
    return await this.#answer(begin, options.signal);
  }

  /**
   * Sends a stream of requests, and returns the one response, which may come before all of them are sent.
   * @param {string} rpc
   * @param {Iterable<object> | AsyncIterable<object>} requests drawn as fast as the server takes them
   * @param {import('./index.js').CallOptions} options without `timeoutMs` there is no deadline
   */
  async send(rpc, requests, options = {}) {
    this.#refuse(options.signal);
    const about = this.#metadata({}, options);
    let feed;
    const begin = (done) => {
      const call = this.#stub[rpc](about, this.#streamOptions(options), done);
      feed = new Feed(call, requests);
      return call;
    };
    try {
      return await this.#answer(begin, options.signal);
    } catch (error) {
      feed?.throwFailure();
      throw error;
    } finally {
      feed?.close();
    }
  }

  /**
   * Sends one request, and yields the responses. Leaving the loop cancels the rest.
   * @param {string} rpc
   * @param {object} request
   * @param {import('./index.js').CallOptions} options without `timeoutMs` there is no deadline
   */
  async *subscribe(rpc, request, options = {}) {
    this.#refuse(options.signal);
    const call = this.#stub[rpc](request, this.#metadata({}, options), this.#streamOptions(options));
    yield* this.#received(call, options.signal);
  }

  /**
   * Opens a stream of requests and responses, and yields the responses. Leaving the loop cancels the rest.
   * @param {string} rpc
   * @param {Iterable<object> | AsyncIterable<object>} requests drawn as fast as the server takes them
   * @param {import('./index.js').CallOptions} options without `timeoutMs` there is no deadline
   */
  async *stream(rpc, requests, options = {}) {
    this.#refuse(options.signal);
    const call = this.#stub[rpc](this.#metadata({}, options), this.#streamOptions(options));
    const feed = new Feed(call, requests);
    try {
      yield* this.#received(call, options.signal);
      feed.throwFailure();
    } catch (error) {
      feed.throwFailure();
      throw error;
    } finally {
      feed.close();
    }
  }

  /** Whether `close` was called. */
  get isClosed() {
    return this.#isClosed;
  }

  /** Closes the channel. Calls in flight are cancelled. */
  close() {
    this.#isClosed = true;
    for (const call of this.#calls) cancel(call); // grpc-js lets them go on
    this.#stub.close();
  }

  /** Throws where no call can be made. */
  #refuse(signal) {
    if (signal?.aborted || this.#isClosed) throw this.#errorOf(null, signal);
  }

  /** The one response of the call that `begin` makes with a callback. */
  #answer(begin, signal) {
    return new Promise((resolve, reject) => {
      const call = begin((error, response) => {
        letGo();
        if (error) reject(this.#errorOf(error, signal));
        else resolve(response);
      });
      const letGo = this.#hold(call, signal);
    });
  }

  /** The responses of a stream; however the loop ends, so does the call. */
  async *#received(call, signal) {
    call.on('error', () => {}); // it is thrown by the loop below; after the loop nobody is left to hear it
    const letGo = this.#hold(call, signal);
    try {
      yield* call;
    } catch (error) {
      throw this.#errorOf(error, signal);
    } finally {
      letGo();
      call.cancel();
    }
  }

  /** Has a call cancelled by its signal, or with this connection; returns what ends that. */
  #hold(call, signal) {
    const listener = () => cancel(call);
    this.#calls.add(call);
    signal?.addEventListener('abort', listener, { once: true });
    return () => {
      this.#calls.delete(call);
      signal?.removeEventListener('abort', listener);
    };
  }

  #errorOf(error, signal) {
    if (signal?.aborted) return cancelledBy(signal);
    return this.#isClosed
      ? new AdapterMuxError('the client was closed', { code: 'CANCELLED' })
      : fromServiceError(error);
  }

  #metadata({ adapter }, options) {
    const result = new Metadata();
    if (this.#authorization) result.set(AUTHORIZATION, this.#authorization());
    if (typeof adapter === 'string' && ROUTABLE.test(adapter)) result.set(ROUTING_KEY, adapter);
    if (options.requestKey) result.set(REQUEST_KEY, options.requestKey);
    for (const [key, value] of Object.entries(options.metadata ?? {})) result.set(key, value);
    return result;
  }

  #streamOptions({ timeoutMs = Infinity }) {
    return this.#callOptions({ timeoutMs });
  }

  #callOptions({ timeoutMs = this.#timeoutMs }) {
    return timeoutMs === Infinity ? {} : { deadline: Date.now() + timeoutMs };
  }
}

function cancel(call) {
  call.cancel();
  // Before grpc-js (1.14) has picked a connection it forgets the cancel and sends the request all the same.
  setImmediate(() => call.cancel());
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
