/** The data plane. */

import type { CallOptions, ConnectOptions, ProblemType } from './calls.js';
import type { AdapterMuxError } from './errors.js';

export interface InferenceOptions extends CallOptions {
  /**
   * What an alias with several targets splits by: equal keys go to the same target. At most 256 printable ASCII
   * characters. Of a stream: the key of all its requests.
   */
  requestKey?: string;
}

/** A text, a pair of texts, ready-made words, or an `Input` message. */
export type Input =
  | string
  | readonly [text: string, textPair: string]
  | { words: readonly string[] | { words: readonly string[] } }
  | { text: string; textPair?: string };

/** A question about a context. */
export type Question = readonly [question: string, context: string] | { question: string; context: string };

export type TagView = 'TAG_VIEW_UNSPECIFIED' | 'TAG_VIEW_TAGS' | 'TAG_VIEW_SPANS';
export type Pooling = 'POOLING_UNSPECIFIED' | 'POOLING_MEAN' | 'POOLING_CLS' | 'POOLING_LAST' | 'POOLING_MAX';

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
  /** An adapter's id, an alias, or "id@revision-prefix". */
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
  classify(request: ClassifyRequest, options?: InferenceOptions): Promise<TaskResponse<Classification>>;
  /** Tags the words or tokens of inputs, or finds labelled spans. */
  tagTokens(request: TagTokensRequest, options?: InferenceOptions): Promise<TaskResponse<TaggedSequence>>;
  /** Answers questions by spans of their contexts. */
  answer(request: AnswerRequest, options?: InferenceOptions): Promise<TaskResponse<AnswerResult>>;
  /** Turns each input into one vector. */
  embed(request: EmbedRequest, options?: InferenceOptions): Promise<TaskResponse<Embedding>>;
  /** Asks several adapters about several inputs in one call; fails as a whole. */
  analyze(request: AnalyzeRequest, options?: InferenceOptions): Promise<AnalyzeResponse>;
  /**
   * Analyses any number of requests on one stream. Outcomes come as they are ready, in any order; a request that fails
   * has its own error. Leaving the loop cancels the rest. Without `timeoutMs` the stream has no deadline.
   */
  streamAnalyze(
    requests: Iterable<StreamedRequest> | AsyncIterable<StreamedRequest>,
    options?: InferenceOptions,
  ): AsyncGenerator<StreamedOutcome, void, void>;
  /** Tokenises as the other calls would. */
  tokenize(request: { inputs: readonly Input[] }, options?: CallOptions): Promise<TokenizeResponse>;
  /** Describes the base model. */
  getModel(options?: CallOptions): Promise<Model>;
  /** Closes the connection; calls in flight are cancelled. */
  close(): void;
}
