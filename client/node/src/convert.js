/** Between what callers write and read, and messages: inputs, durations, timestamps. Pure. */

/**
 * An `Input` message of a text, a pair of texts, or a message as it is.
 * @param {import('./index.js').Input} input
 */
export function toInput(input) {
  if (typeof input === 'string') return { text: input };
  return Array.isArray(input) ? { text: input[0], textPair: input[1] } : wrapWords(input);
}

/**
 * A request with its inputs as messages.
 * @param {{inputs?: import('./index.js').Input[]}} request
 */
export function withInputs(request) {
  return { ...request, inputs: (request.inputs ?? []).map(toInput) };
}

/**
 * A request of `Answer` with its pairs as messages.
 * @param {{inputs?: import('./index.js').Question[]}} request
 */
export function withQuestions(request) {
  const toQuestion = (input) => (Array.isArray(input) ? { question: input[0], context: input[1] } : input);
  return { ...request, inputs: (request.inputs ?? []).map(toQuestion) };
}

/**
 * A response with its timings in milliseconds.
 * @param {{timings: {queue: object, compute: object} | null}} response
 */
export function withTimings({ timings, ...response }) {
  const { queue, compute } = timings ?? {};
  return { ...response, timings: { queueMs: durationToMs(queue) ?? 0, computeMs: durationToMs(compute) ?? 0 } };
}

/** A `google.protobuf.Duration` of milliseconds; absent stays absent. */
export function msToDuration(ms) {
  if (ms === undefined || ms === null) return undefined;
  const nanos = Math.round((ms % 1000) * 1e6);
  return { seconds: Math.trunc(ms / 1000), nanos };
}

/** Milliseconds of a `google.protobuf.Duration`; null where it is absent. */
export function durationToMs(duration) {
  return duration ? duration.seconds * 1000 + duration.nanos / 1e6 : null;
}

/** A Date of a `google.protobuf.Timestamp`; null where it is absent. */
export function timestampToDate(timestamp) {
  return timestamp ? new Date(timestamp.seconds * 1000 + timestamp.nanos / 1e6) : null;
}

function wrapWords(input) {
  return Array.isArray(input.words) ? { ...input, words: { words: input.words } } : input;
}
