/** Runs a case of the table with this client, and gives its outcome in the table's form. */

import { AdapterMuxError, connect, connectAdmin } from 'adaptermux';

/** Makes the calls of the table. */
export class Runner {
  constructor({ dataAddress, adminAddress }) {
    this.client = connect(dataAddress);
    this.admin = connectAdmin(adminAddress);
  }

  /** The outcome of a case. */
  async perform(testCase) {
    const controller = new AbortController();
    const options = { metadata: testCase.metadata, timeoutMs: testCase.deadlineMs, signal: controller.signal };
    try {
      const calling = CALLS[testCase.rpc](this, testCase.request ?? testCase.requests, options);
      if (testCase.cancel) controller.abort();
      return { status: 'OK', ...(await calling) };
    } catch (error) {
      return failure(error);
    }
  }

  close() {
    this.client.close();
    this.admin.close();
  }
}

const CALLS = {
  Classify: async ({ client }, request, options) => ({ response: await client.classify(request, options) }),
  TagTokens: async ({ client }, request, options) => ({ response: await client.tagTokens(request, options) }),
  Answer: async ({ client }, request, options) => ({ response: await client.answer(request, options) }),
  Embed: async ({ client }, request, options) => ({ response: await client.embed(request, options) }),
  Analyze: async ({ client }, request, options) => ({ response: await client.analyze(request, options) }),
  StreamAnalyze: async ({ client }, requests, options) => ({ responses: await streamed(client, requests, options) }),
  Tokenize: async ({ client }, request, options) => ({ response: await client.tokenize(request, options) }),
  GetModel: async ({ client }, _, options) => ({ response: await client.getModel(options) }),
  LoadAdapter: async ({ admin }, { maxWait, ...request }, options) =>
    adapterOf(await admin.loadAdapter({ ...request, maxWaitMs: milliseconds(maxWait) }, options)),
  UnloadAdapter: async ({ admin }, { adapterId, drainTimeout, force }, options) =>
    adapterOf(await admin.unloadAdapter(adapterId, { drainTimeoutMs: milliseconds(drainTimeout), force, ...options })),
  GetAdapter: async ({ admin }, { adapterId }, options) => adapterOf(await admin.getAdapter(adapterId, options)),
  ListAdapters: async ({ admin }, request, options) => ({
    response: { adapters: await collected(admin.listAdapters({ ...request, ...options })) },
  }),
  GetServerStatus: async ({ admin }, _, options) => ({ response: await admin.getServerStatus(options) }),
};

async function streamed(client, requests, options) {
  const outcomes = await collected(client.streamAnalyze(requests, options));
  return Object.fromEntries(
    outcomes.map(({ requestId, response, error }) => [requestId, error ? failure(error) : { status: 'OK', response }]),
  );
}

function failure(error) {
  if (!(error instanceof AdapterMuxError)) throw error;
  const { code, reason, metadata, violations } = error;
  return { status: code, reason, metadata, violations: violations.map(({ field }) => field) };
}

async function collected(items) {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

function adapterOf(adapter) {
  return { response: { adapter } };
}

/** Of a duration as JSON has it: "1.5s". */
function milliseconds(duration) {
  return duration && Number.parseFloat(duration) * 1000;
}
