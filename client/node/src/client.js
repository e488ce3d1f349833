/** The data plane: asks many adapters on one base model. Types and comments for callers are in client.d.ts. */

import { Connection } from './connection.js';
import { withInputs, withQuestions, withTimings } from './convert.js';
import { fromStatus } from './errors.js';
import { inferDefinition } from './protos.js';

export const DEFAULT_ADDRESS = '127.0.0.1:50051';

export class Client {
  #connection;

  constructor(address = DEFAULT_ADDRESS, options = {}) {
    this.#connection = new Connection(inferDefinition, address, { timeoutMs: 30_000, ...options });
  }

  classify(request, options) {
    return this.#analyze('Classify', request, options);
  }

  tagTokens(request, options) {
    return this.#analyze('TagTokens', request, options);
  }

  async answer(request, options) {
    return withTimings(await this.#connection.unary('Answer', withQuestions(request), options));
  }

  embed(request, options) {
    return this.#analyze('Embed', request, options);
  }

  analyze(request, options) {
    return this.#analyze('Analyze', request, options);
  }

  async *streamAnalyze(requests, options) {
    for await (const message of this.#connection.stream('StreamAnalyze', streamed(requests), options)) {
      yield outcome(message);
    }
  }

  tokenize(request, options) {
    return this.#connection.unary('Tokenize', withInputs(request), options);
  }

  getModel(options) {
    return this.#connection.unary('GetModel', {}, options);
  }

  close() {
    this.#connection.close();
  }

  async #analyze(rpc, request, options) {
    return withTimings(await this.#connection.unary(rpc, withInputs(request), options));
  }
}

async function* streamed(requests) {
  for await (const { requestId, request } of requests) yield { requestId, request: withInputs(request) };
}

function outcome({ requestId, response, error }) {
  return error
    ? { requestId, response: null, error: fromStatus(error) }
    : { requestId, response: withTimings(response), error: null };
}
