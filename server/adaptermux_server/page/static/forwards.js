// The forwards of the last minute, and what they come to. Knows no page.

const KEPT_SECONDS = 62;
const MAX_KEPT = 30_000;
// How fast an estimate of the server's clock gives way to a later one.
const CLOCK_DRIFT = 0.0005;
const CLOCK_JUMP_SECONDS = 2;

export class Forwards {
  constructor() {
    this.clear();
  }

  clear() {
    this.list = [];
    this.numMissed = 0;
    this.numSeen = null;
    this.offset = null;
    this.streamLocal ??= null;
  }

  /** Take a frame of /api/events: {now, num_before, forwards}. `local`: seconds on the page's own clock. */
  add(frame, local) {
    this.setClock(frame.now, local);
    if (this.numSeen !== null) this.numMissed += Math.max(0, frame.num_before - this.numSeen);
    this.numSeen = frame.num_before + frame.forwards.length;
    for (const forward of frame.forwards) {
      forward.end = forward.start + forward.traversal + forward.compute;
      forward.rows = forward.waits.length;
      this.list.push(forward);
    }
    this.forget(frame.now);
  }

  /** A stream has begun anew, and tells nothing of what passed before. `local`: as above. */
  beginStream(local) {
    this.numSeen = null;
    this.streamLocal = local;
  }

  /** The first whole second that the stream tells of, on the server's clock. */
  get begunAt() {
    return this.streamLocal === null ? Infinity : Math.ceil(this.now(this.streamLocal));
  }

  /** The server's clock was `now` when it sent what came at `local`; what came fastest tells it best. */
  setClock(now, local) {
    const offset = now - local;
    const jumped = this.offset === null || Math.abs(offset - this.offset) > CLOCK_JUMP_SECONDS;
    this.offset = jumped ? offset : Math.max(offset, this.offset - CLOCK_DRIFT);
  }

  /** Seconds since the epoch by the server's clock, or null before anything came. */
  now(local) {
    return this.offset === null ? null : local + this.offset;
  }

  /** Those that ended after `time`, oldest first. */
  since(time) {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].end > time) high = middle;
      else low = middle + 1;
    }
    return this.list.slice(low);
  }

  forget(now) {
    const kept = this.since(now - KEPT_SECONDS);
    if (kept.length < this.list.length) this.list = kept.slice(-MAX_KEPT);
  }
}

/** Sums over forwards, as rates over `seconds`. */
export function summary(forwards, seconds) {
  let rows = 0, adapters = 0, tokens = 0, padded = 0, busy = 0;
  for (const each of forwards) {
    rows += each.rows;
    adapters += each.adapters.length;
    tokens += each.tokens;
    padded += each.padded_tokens;
    busy += each.traversal + each.compute;
  }
  const number = forwards.length;
  return {
    rowsPerSecond: rows / seconds,
    forwardsPerSecond: number / seconds,
    rowsPerForward: number ? rows / number : NaN,
    adaptersPerForward: number ? adapters / number : NaN,
    padding: padded ? 1 - tokens / padded : NaN,
    busy: Math.min(1, busy / seconds),
  };
}

/** Rows by adapter, as a Map. */
export function rowsByAdapter(forwards) {
  const rows = new Map();
  for (const forward of forwards) {
    for (const [id, number] of forward.adapters) rows.set(id, (rows.get(id) ?? 0) + number);
  }
  return rows;
}

/** Queue wait plus traversal and compute of each row, in seconds, sorted; of forwards that didn't fail. */
export function latencies(forwards) {
  const all = [];
  for (const forward of forwards) {
    if (forward.kernel === null) continue;
    const own = forward.traversal + forward.compute;
    for (const wait of forward.waits) all.push(wait + own);
  }
  return Float64Array.from(all).sort();
}

/** The value below which a share of the sorted values lies; NaN for none. */
export function quantile(sorted, share) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : NaN;
}

/** How many of `sorted` lie below each edge and not below the one before; the last counts the rest. */
export function histogram(sorted, edges) {
  const counts = new Array(edges.length + 1).fill(0);
  let bin = 0;
  for (const value of sorted) {
    while (bin < edges.length && value >= edges[bin]) bin += 1;
    counts[bin] += 1;
  }
  return counts;
}

/** For each of `number` whole seconds that end with `end`: `value` of the forwards that ended in it. */
export function perSecond(forwards, end, number, value) {
  const bins = Array.from({ length: number }, () => []);
  for (const forward of forwards) {
    const index = Math.floor(forward.end) - (end - number);
    if (index >= 0 && index < number) bins[index].push(forward);
  }
  return bins.map(value);
}
