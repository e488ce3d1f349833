/** Client of AdapterMux for Node.js. The .proto files tell more of each field; numbers of bytes and rows are numbers. */

import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';

/** A client of the data listener (default 127.0.0.1:50051); it connects on the first call. */
export function connect(address?: string, options?: ConnectOptions): Client;

/** A client of the admin listener (default 127.0.0.1:50052); it connects on the first call. */
export function connectAdmin(address?: string, options?: ConnectOptions): AdminClient;

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

/** A text, a pair of texts, ready-made words, or an `Input` message. */
export type Input =
  | string
  | readonly [text: string, textPair: string]
  | { words: readonly string[] | { words: readonly string[] } }
  | { text: string; textPair?: string };

/** A question about a context. */
export type Question = readonly [question: string, context: string] | { question: string; context: string };

export type ProblemType =
  'PROBLEM_TYPE_UNSPECIFIED' | 'PROBLEM_TYPE_SINGLE_LABEL' | 'PROBLEM_TYPE_MULTI_LABEL' | 'PROBLEM_TYPE_REGRESSION';
export type TagView = 'TAG_VIEW_UNSPECIFIED' | 'TAG_VIEW_TAGS' | 'TAG_VIEW_SPANS';
export type Pooling = 'POOLING_UNSPECIFIED' | 'POOLING_MEAN' | 'POOLING_CLS' | 'POOLING_LAST' | 'POOLING_MAX';
export type Task =
  | 'TASK_UNSPECIFIED'
  | 'TASK_SEQUENCE_CLASSIFICATION'
  | 'TASK_TOKEN_CLASSIFICATION'
  | 'TASK_QUESTION_ANSWERING'
  | 'TASK_FEATURE_EXTRACTION';
export type AdapterState =
  | 'ADAPTER_STATE_UNSPECIFIED'
  | 'ADAPTER_STATE_LOADING'
  | 'ADAPTER_STATE_READY'
  | 'ADAPTER_STATE_DRAINING'
  | 'ADAPTER_STATE_UNLOADED'
  | 'ADAPTER_STATE_FAILED';
export type Executor = 'EXECUTOR_UNSPECIFIED' | 'EXECUTOR_BANK' | 'EXECUTOR_SWITCH';

export interface ClassifyOptions {
  /** 0: all. */
  topK?: number;
  problemType?: ProblemType;
  returnLogits?: boolean;
}

export interface TagOptions {
  view?: TagView;
  /** Alternatives of each tag; 0: none. */
  topK?: number;
  returnLogits?: boolean;
}

export interface AnswerOptions {
  /** 0: one. */
  topK?: number;
  /** 0: 30. */
  maxAnswerTokens?: number;
  allowNoAnswer?: boolean;
  returnLogits?: boolean;
}

export interface EmbedOptions {
  pooling?: Pooling;
  normalize?: boolean;
}

interface TaskRequest<I, O> {
  /** An adapter's id, or "id@revision-prefix". */
  adapter: string;
  inputs: readonly I[];
  options?: O;
  /** Whether to cut inputs that are too long rather than to fail. */
  truncate?: boolean;
}
export type ClassifyRequest = TaskRequest<Input, ClassifyOptions>;
export type TagTokensRequest = TaskRequest<Input, TagOptions>;
export type AnswerRequest = TaskRequest<Question, AnswerOptions>;
/** Without `adapter` the base model answers. */
export type EmbedRequest = Omit<TaskRequest<Input, EmbedOptions>, 'adapter'> & { adapter?: string };

/** At most one kind of options, fitting the adapter's task; with `embed`, `adapter` may be left out. */
export interface AnalyzeTask {
  adapter?: string;
  classify?: ClassifyOptions;
  tag?: TagOptions;
  answer?: AnswerOptions;
  embed?: EmbedOptions;
}

export interface AnalyzeRequest {
  tasks: readonly AnalyzeTask[];
  inputs: readonly Input[];
  truncate?: boolean;
}

export interface AdapterRef {
  id: string;
  /** Hex sha-256 of the content that answered. */
  revision: string;
}

export interface Timings {
  queueMs: number;
  computeMs: number;
}

/** One result for each input, in order; `adapter` is null where the base model answered. */
export interface TaskResponse<R> {
  results: R[];
  adapter: AdapterRef | null;
  timings: Timings;
}

export interface LabelScore {
  label: string;
  score: number;
}

export interface Classification {
  /** Best first. */
  labels: LabelScore[];
  logits: number[];
  problemType: ProblemType;
  numTokens: number;
  truncated: boolean;
}

/** Offsets count Unicode code points, not UTF-16 units: `[...text].slice(start, end).join('')`. */
export interface Tag {
  label: string;
  score: number;
  text: string;
  index: number;
  start: number;
  end: number;
  alternatives: LabelScore[];
  logits: number[];
}

/** Offsets count Unicode code points of a text, or words of a word input. */
export interface Span {
  label: string;
  score: number;
  text: string;
  start: number;
  end: number;
}

export interface TaggedSequence {
  tags: Tag[];
  spans: Span[];
  numTokens: number;
  truncated: boolean;
}

/** Offsets count Unicode code points of the context. */
export interface AnswerSpan {
  text: string;
  score: number;
  start: number;
  end: number;
  noAnswer: boolean;
}

export interface AnswerResult {
  /** Best first. */
  answers: AnswerSpan[];
  startLogits: number[];
  endLogits: number[];
  numTokens: number;
  truncated: boolean;
}

export interface Embedding {
  values: number[];
  numTokens: number;
  truncated: boolean;
}

/** `result` names the member that is there. */
export type Analysis = { adapter: AdapterRef | null } & (
  | { result: 'classification'; classification: Classification }
  | { result: 'tags'; tags: TaggedSequence }
  | { result: 'answer'; answer: AnswerResult }
  | { result: 'embedding'; embedding: Embedding }
);

/** For each input, what each task says of it, in the order of the tasks. */
export interface AnalyzeResponse {
  results: { analyses: Analysis[] }[];
  timings: Timings;
}

export interface StreamedRequest {
  /** Your own name for it, not in use by an unanswered request of this stream. */
  requestId: string;
  request: AnalyzeRequest;
}

export type StreamedOutcome =
  | { requestId: string; response: AnalyzeResponse; error: null }
  | { requestId: string; response: null; error: AdapterMuxError };

export interface TokenizeResponse {
  results: {
    tokens: { id: number; text: string; start: number; end: number; special: boolean }[];
    /** How many tokens `truncate` would cut. */
    numExcessTokens: number;
  }[];
  maxTokens: number;
}

export interface Model {
  modelId: string;
  architecture: string;
  dtype: string;
  device: string;
  hiddenSize: number;
  maxTokens: number;
  vocabSize: number;
  numParameters: number;
  rpcs: string[];
  peftTypes: string[];
}

/** Asks the data listener. Every call rejects with an AdapterMuxError if it fails. */
export class Client {
  constructor(address?: string, options?: ConnectOptions);
  /** Classifies texts or pairs of texts. */
  classify(request: ClassifyRequest, options?: CallOptions): Promise<TaskResponse<Classification>>;
  /** Tags the words or tokens of inputs, or finds labelled spans. */
  tagTokens(request: TagTokensRequest, options?: CallOptions): Promise<TaskResponse<TaggedSequence>>;
  /** Answers questions by spans of their contexts. */
  answer(request: AnswerRequest, options?: CallOptions): Promise<TaskResponse<AnswerResult>>;
  /** Turns each input into one vector. */
  embed(request: EmbedRequest, options?: CallOptions): Promise<TaskResponse<Embedding>>;
  /** Asks several adapters about several inputs in one call; fails as a whole. */
  analyze(request: AnalyzeRequest, options?: CallOptions): Promise<AnalyzeResponse>;
  /**
   * Analyses any number of requests on one stream. Outcomes come as they are ready, in any order; a request that fails
   * has its own error. Leaving the loop cancels the rest. Without `timeoutMs` the stream has no deadline.
   */
  streamAnalyze(
    requests: Iterable<StreamedRequest> | AsyncIterable<StreamedRequest>,
    options?: CallOptions,
  ): AsyncGenerator<StreamedOutcome, void, void>;
  /** Tokenises as the other calls would. */
  tokenize(request: { inputs: readonly Input[] }, options?: CallOptions): Promise<TokenizeResponse>;
  /** Describes the base model. */
  getModel(options?: CallOptions): Promise<Model>;
  /** Closes the connection; calls in flight are cancelled. */
  close(): void;
}

export interface Adapter {
  id: string;
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
  uri: string;
  loadTime: Date | null;
  lastUsedTime: Date | null;
  numRowsAnswered: number;
  numInFlight: number;
  /** If FAILED: why. */
  error: AdapterMuxError | null;
}

export interface LoadAdapterRequest {
  adapterId: string;
  /** A folder of the server's machine: an absolute path or a file:// URI. */
  uri: string;
  labels?: readonly string[];
  problemType?: ProblemType;
  weight?: number;
  maxWaitMs?: number;
  validateOnly?: boolean;
  returnImmediately?: boolean;
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
  pageSize?: number;
}

export interface ServerStatus {
  version: string;
  startTime: Date | null;
  /** By the names of states without their prefix, for example "READY". */
  adaptersByState: Record<string, number>;
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
  memory: { baseBytes: number; adapterBytes: number; residentBytes: number } | null;
  libraryVersions: Record<string, string>;
}

/** Asks the admin listener. Every call rejects with an AdapterMuxError if it fails. */
export class AdminClient {
  constructor(address?: string, options?: ConnectOptions);
  /** Loads an adapter while traffic flows; resolves when it is READY. Never repeated by itself, but repeatable. */
  loadAdapter(request: LoadAdapterRequest, options?: CallOptions): Promise<Adapter>;
  /** Drains an adapter and frees it. Without `timeoutMs` the call waits ten seconds more than the drain. */
  unloadAdapter(adapterId: string, options?: UnloadOptions): Promise<Adapter>;
  getAdapter(adapterId: string, options?: CallOptions): Promise<Adapter>;
  /** Walks over all adapters by id, fetching page after page; `timeoutMs` is for each page. */
  listAdapters(options?: ListOptions): AsyncGenerator<Adapter, void, void>;
  getServerStatus(options?: CallOptions): Promise<ServerStatus>;
  /** Closes the connection; calls in flight are cancelled. */
  close(): void;
}

/** A call that failed. Branch on `reason` (or on `code`), never on the message: it may be reworded. */
export class AdapterMuxError extends Error {
  /** Name of the gRPC status, for example "NOT_FOUND". */
  readonly code: string;
  /** Name of an `ErrorReason`, for example "ADAPTER_NOT_FOUND"; empty where the failure isn't AdapterMux's own. */
  readonly reason: string;
  /** By the keys that error_reason.proto lists for the reason. */
  readonly metadata: Record<string, string>;
  /** Each offending field of the request. */
  readonly violations: { field: string; description: string }[];
  /** When a retry makes sense; null: not by itself. */
  readonly retryAfterMs: number | null;
}
