/** The control plane. */

import type { CallOptions, ConnectOptions, ProblemType, Task } from './calls.js';
import type { AdapterMuxError } from './errors.js';

export type AdapterState =
  | 'ADAPTER_STATE_UNSPECIFIED'
  | 'ADAPTER_STATE_LOADING'
  | 'ADAPTER_STATE_READY'
  | 'ADAPTER_STATE_DRAINING'
  | 'ADAPTER_STATE_UNLOADED'
  | 'ADAPTER_STATE_FAILED';
export type Executor = 'EXECUTOR_UNSPECIFIED' | 'EXECUTOR_BANK' | 'EXECUTOR_SWITCH';
export type Tier = 'TIER_UNSPECIFIED' | 'TIER_DEVICE' | 'TIER_HOST' | 'TIER_DISK';

export interface Adapter {
  id: string;
  /** Hex sha-256 of its content. */
  revision: string;
  state: AdapterState;
  task: Task;
  problemType: ProblemType;
  peftType: string;
  rank: number;
  targetModules: string[];
  /** What computes its rows: in the bank they share batches with those of other adapters. */
  executor: Executor;
  /** In the order of the logits. */
  labels: string[];
  sizeBytes: number;
  weight: number;
  maxWaitMs: number | null;
  /** Whether it stays in the engine, come what may. */
  pinned: boolean;
  /** The operator's own notes, to filter by. */
  metadata: Record<string, string>;
  /** Where its tensors are: in the engine, in host memory, or in the store only. */
  tier: Tier;
  /** Empty: it was loaded by its revision. */
  uri: string;
  loadTime: Date | null;
  lastUsedTime: Date | null;
  numRowsAnswered: number;
  numInFlight: number;
  /** Why the last load failed. Beside READY: an earlier revision still serves. */
  error: AdapterMuxError | null;
  /** What served under this id before, newest first; each can be named (`id@revision`), or loaded again. */
  earlierRevisions: string[];
}

interface LoadOptions {
  adapterId: string;
  labels?: readonly string[];
  problemType?: ProblemType;
  weight?: number;
  maxWaitMs?: number;
  /** Whether it stays in the engine, come what may. */
  pinned?: boolean;
  /** Notes to filter by. */
  metadata?: Readonly<Record<string, string>>;
  validateOnly?: boolean;
  returnImmediately?: boolean;
}

export type LoadAdapterRequest = LoadOptions &
  (
    | {
        /** A folder of the server's machine (an absolute path or a file:// URI), or a URI of another scheme. */
        uri: string;
        revision?: undefined;
      }
    | {
        /** A content of the server's store: one that was uploaded, or that an adapter has or had. */
        revision: string;
        uri?: undefined;
      }
  );

export interface PushAdapterRequest extends LoadOptions {
  /** See `uploadAdapter`. */
  folder: string;
  /** See `UploadOptions`. */
  revision?: string;
}

export interface UploadOptions extends CallOptions {
  /** That of the folder, where you know it; absent: it is computed, which reads the files once more. */
  revision?: string;
  /** Called after each chunk is handed to the connection. What it throws ends the upload and is thrown. */
  onProgress?: (progress: { sentBytes: number; totalBytes: number }) => void;
}

export interface UploadedRevision {
  /** For `loadAdapter`. */
  revision: string;
  sizeBytes: number;
  /** Whether the store had it before; then it isn't sent again. */
  alreadyStored: boolean;
}

/** What is absent stays as it is; null is the default. */
export interface AdapterChanges {
  weight?: number | null;
  maxWaitMs?: number | null;
  pinned?: boolean | null;
  /** All notes anew. */
  metadata?: Readonly<Record<string, string>> | null;
}

export interface Alias {
  name: string;
  /** Adapters (`id`, or `id@` and the whole revision) with their shares of requests, relative to each other. */
  targets: { adapter: string; weight: number }[];
  updateTime: Date | null;
}

/** `event` names the member that is there. To resume after it: `resumeToken`, which is empty within a snapshot. */
export type WatchEvent = { resumeToken: string } & (
  | {
      /** What was known is void; all adapters and aliases that there are follow, each as if it had changed. */
      event: 'snapshotBegin';
      snapshotBegin: object;
    }
  | {
      /** That was all; changes follow. */
      event: 'snapshotEnd';
      snapshotEnd: object;
    }
  | {
      /** It came or changed: its state, revision, options, tier or error. */
      event: 'adapter';
      adapter: Adapter;
    }
  | { event: 'removedAdapterId'; removedAdapterId: string }
  | { event: 'alias'; alias: Alias }
  | { event: 'removedAliasName'; removedAliasName: string }
);

export interface WatchOptions extends CallOptions {
  /** `resumeToken` of the last event that you saw; absent: from the start. */
  resumeToken?: string;
  /** Whether to connect again after a lost connection. Default: true. */
  reconnect?: boolean;
  /** Called with the failure each time before the wait for a new connection. */
  onLost?: (error: AdapterMuxError) => void;
}

/** A row (one input for one adapter) of a forward. */
export interface BatchRow {
  /** Empty: the base model. */
  adapterId: string;
  /** Its length, special tokens included. */
  numTokens: number;
  /** How long it waited in the queue. */
  queueMs: number;
  /** Of the request that it belongs to. */
  requestId: string;
}

/** One forward as the engine computed it. */
export interface Batch {
  /** When the engine was given it, by the server's clock; its traversal comes first, then the forward. */
  startTime: Date | null;
  /** 0: there was none. */
  traversalMs: number;
  /** The forward with its heads. */
  computeMs: number;
  /** How it added what its adapters change, for example "uniform"; empty: it failed. */
  kernel: string;
  /** Tokens that were computed, with padding: longest row × rows. */
  numPaddedTokens: number;
  rows: BatchRow[];
}

/** What a watch tells at once. */
export interface WatchedBatches {
  /** At least one, in the order of their ends. */
  batches: Batch[];
  /** Forwards before these that the caller was too slow for. */
  numMissed: number;
  /** Rows waiting now, in all queues. */
  numRowsQueued: number;
}

export interface UnloadOptions extends CallOptions {
  /** How long to wait for requests in flight. Default: 30,000. */
  drainTimeoutMs?: number;
  /** Whether to fail the requests that wait in the queue. */
  force?: boolean;
}

export interface ListOptions extends CallOptions {
  /** Only adapters in this state. */
  state?: AdapterState;
  /** Only adapters that it fits, for example `metadata.team = search AND pinned = true`. */
  filter?: string;
  pageSize?: number;
}

export interface ServerStatus {
  version: string;
  startTime: Date | null;
  /** By the names of states without their prefix, for example "READY". */
  adaptersByState: Record<string, number>;
  /** READY ones, by the names of tiers without their prefix, for example "DEVICE". */
  adaptersByTier: Record<string, number>;
  queues: { adapterId: string; numRows: number; oldestWaitMs: number | null }[];
  numRowsQueued: number;
  rows: {
    accepted: number;
    answered: number;
    failed: number;
    cancelled: number;
    expired: number;
    rejected: number;
  } | null;
  numBatches: number;
  meanBatchRows: number;
  /** Different ones in a forward; the base model counts as one. */
  meanBatchAdapters: number;
  /** By how they added what adapters change, for example "uniform". */
  forwardsByKernel: Record<string, number>;
  numTraversals: number;
  numTraversalsInArrivalOrder: number;
  costs: { traversalMs: number | null; batchMs: number | null; tokenMs: number | null };
  memory: {
    baseBytes: number;
    /** Of the adapters in the engine. */
    adapterBytes: number;
    /** 0: no bound. */
    adapterBytesLimit: number;
    /** Of the adapters in host memory, those in the engine too. */
    hostAdapterBytes: number;
    /** 0: no bound. */
    hostAdapterBytesLimit: number;
    /** Of the files in the store. */
    storeBytes: number;
    residentBytes: number;
  } | null;
  /** Where requests found their adapters. */
  tierCounts: {
    hits: number;
    hostMisses: number;
    diskMisses: number;
    evictions: number;
    prefetches: number;
  } | null;
  libraryVersions: Record<string, string>;
}

/** Asks the admin listener. Every call rejects with an AdapterMuxError if it fails. */
export class AdminClient {
  constructor(address?: string, options?: ConnectOptions);
  /**
   * Sends the files of an adapter's folder on this machine, as `save_pretrained` writes it, to the server's store.
   *
   * Only `adapter_config.json`, `adapter_model.safetensors` and (if it is there) `config.json` are sent. Rejects with the
   * error of `node:fs` where one can't be read, with an Error where one changes meanwhile; nothing is kept then. Without
   * `timeoutMs` it takes as long as it takes.
   */
  uploadAdapter(folder: string, options?: UploadOptions): Promise<UploadedRevision>;
  /** Loads an adapter while traffic flows; resolves when it is READY. Never repeated by itself, but repeatable. */
  loadAdapter(request: LoadAdapterRequest, options?: CallOptions): Promise<Adapter>;
  /**
   * Loads an adapter from a folder of this machine: `uploadAdapter`, then `loadAdapter` of what it gives. `timeoutMs` is
   * for each of the two.
   */
  pushAdapter(request: PushAdapterRequest, options?: Omit<UploadOptions, 'revision'>): Promise<Adapter>;
  /**
   * Drains an adapter and frees it; its content stays in the store for some days. Without `timeoutMs` the call waits ten
   * seconds more than the drain.
   */
  unloadAdapter(adapterId: string, options?: UnloadOptions): Promise<Adapter>;
  /** Unloads an adapter, and removes what no other adapter uses of its content and its earlier revisions'. */
  deleteAdapter(adapterId: string, options?: UnloadOptions): Promise<Adapter>;
  /** Changes those options that are given. Rejects with a TypeError where none is. */
  updateAdapter(adapterId: string, changes: AdapterChanges, options?: CallOptions): Promise<Adapter>;
  getAdapter(adapterId: string, options?: CallOptions): Promise<Adapter>;
  /** Walks over all adapters by id, fetching page after page; `timeoutMs` is for each page. */
  listAdapters(options?: ListOptions): AsyncGenerator<Adapter, void, void>;
  /**
   * Makes an alias, or moves it with all its targets, in one step.
   * @param targets one adapter, or adapters with their shares of requests, relative to each other: 1 to 1,000,000
   *   (below 1: RangeError). Each is an id, or `id@revision-prefix`.
   */
  setAlias(name: string, targets: string | Readonly<Record<string, number>>, options?: CallOptions): Promise<Alias>;
  /** Removes an alias; its adapters stay. Resolves with how it was. */
  deleteAlias(name: string, options?: CallOptions): Promise<Alias>;
  /** Walks over all aliases by name, fetching page after page; `timeoutMs` is for each page. */
  listAliases(options?: CallOptions & { pageSize?: number }): AsyncGenerator<Alias, void, void>;
  /**
   * Follows adapters and aliases: first all that there are, then every change, until you leave the loop or abort the
   * `signal` (the loop then throws, as any call does).
   *
   * After a lost connection it connects again and goes on after the last event, at growing intervals of at most five
   * seconds. A first connection that fails is an error all the same, unless there is a token. If the server doesn't
   * remember that long, or was restarted, the next event is `snapshotBegin`.
   */
  watchAdapters(options?: WatchOptions): AsyncGenerator<WatchEvent, void, void>;
  /**
   * Follows the forwards that the engine computes from now on, until you leave the loop, abort the `signal`, or
   * `timeoutMs` has passed (DEADLINE_EXCEEDED). Nothing is told while nothing is computed; who reads too slowly misses
   * some, and holds up nobody. A lost connection, or the server's end, is an error: UNAVAILABLE.
   */
  watchBatches(options?: CallOptions): AsyncGenerator<WatchedBatches, void, void>;
  getServerStatus(options?: CallOptions): Promise<ServerStatus>;
  /** Closes the connection; calls in flight are cancelled. */
  close(): void;
}
