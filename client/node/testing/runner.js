/** Runs a case of the table with this client, and gives its outcome in the table's form. */

import { AdapterMuxError, connect, connectAdmin } from 'adaptermux';

const REQUEST_KEY = 'x-request-key';

/** Makes the calls of the table. */
export class Runner {
  constructor({ dataAddress, adminAddress }) {
    this.client = connect(dataAddress);
    this.admin = connectAdmin(adminAddress);
  }

  /** The outcome of a case. */
  async perform(testCase) {
    const controller = new AbortController();
    const { [REQUEST_KEY]: requestKey, ...metadata } = testCase.metadata ?? {};
    const options = { metadata, requestKey, timeoutMs: testCase.deadlineMs, signal: controller.signal };
    try {
      const calling = CALLS[testCase.rpc](this, testCase.request ?? testCase.requests, options, testCase);
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
  UploadAdapter: async ({ admin }, { metadata }, options, { folder }) => ({
    response: await admin.uploadAdapter(folder, { ...options, revision: metadata?.revision }),
  }),
  LoadAdapter: async ({ admin }, { maxWait, ...request }, options) =>
    adapterOf(await admin.loadAdapter({ ...request, maxWaitMs: milliseconds(maxWait) }, options)),
  UnloadAdapter: async ({ admin }, { adapterId, drainTimeout, force }, options) =>
    adapterOf(await admin.unloadAdapter(adapterId, { drainTimeoutMs: milliseconds(drainTimeout), force, ...options })),
  DeleteAdapter: async ({ admin }, { adapterId, drainTimeout, force }, options) =>
    adapterOf(await admin.deleteAdapter(adapterId, { drainTimeoutMs: milliseconds(drainTimeout), force, ...options })),
  UpdateAdapter: async ({ admin }, { adapter, updateMask }, options) =>
    adapterOf(await admin.updateAdapter(adapter.id, changes(adapter, updateMask), options)),
  GetAdapter: async ({ admin }, { adapterId }, options) => adapterOf(await admin.getAdapter(adapterId, options)),
  ListAdapters: async ({ admin }, request, options) => ({
    response: { adapters: await collected(admin.listAdapters({ ...request, ...options })) },
  }),
  SetAlias: async ({ admin }, { alias }, options) => ({
    response: { alias: await admin.setAlias(alias.name, shares(alias.targets), options) },
  }),
  DeleteAlias: async ({ admin }, { name }, options) => ({
    response: { alias: await admin.deleteAlias(name, options) },
  }),
  ListAliases: async ({ admin }, request, options) => ({
    response: { aliases: await collected(admin.listAliases({ ...request, ...options })) },
  }),
  WatchAdapters: async ({ admin }, request, options) => ({
    events: await snapshot(admin.watchAdapters({ ...request, ...options, reconnect: false })),
  }),
  WatchBatches: async ({ client, admin }, _, options, { meanwhile }) => ({
    batch: await firstBatch(admin.watchBatches(options), meanwhile && (() => client.classify(meanwhile))),
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

/** The events up to the end of the snapshot; the loop's end ends the watch. */
async function snapshot(events) {
  const seen = [];
  for await (const event of events) {
    seen.push(event);
    if (event.event === 'snapshotEnd') break;
  }
  return seen;
}

/** The first forward that is told of, while `ask` is done over and over. */
async function firstBatch(watch, ask) {
  let isTold = false;
  const first = watch.next().finally(() => {
    isTold = true;
  });
  while (ask && !isTold) await ask();
  const { value } = await first;
  await watch.return();
  return value.batches[0];
}

/** What a mask names, as `updateAdapter` takes it: null where the adapter says nothing. */
function changes({ maxWait, ...values }, mask) {
  const given = { ...values, maxWaitMs: milliseconds(maxWait) };
  const names = mask.split(',').map((path) => (path === 'maxWait' ? 'maxWaitMs' : path));
  return Object.fromEntries(names.map((name) => [name, given[name] ?? null]));
}

function shares(targets) {
  return Object.fromEntries(targets.map(({ adapter, weight = 1 }) => [adapter, weight]));
}

function adapterOf(adapter) {
  return { response: { adapter } };
}

/** Of a duration as JSON has it: "1.5s". */
function milliseconds(duration) {
  return duration && Number.parseFloat(duration) * 1000;
}
