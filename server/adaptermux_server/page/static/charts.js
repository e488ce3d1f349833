// The three small charts, drawn by uPlot.

import { onThemeChange, themeColour } from "./colour.js";
import { histogram, perSecond } from "./forwards.js";
import { count, durationText } from "./format.js";

const SECONDS = 60;
const FONT = "11px system-ui, sans-serif";
// Edges of latency: three a decade, from 1 ms to 10 s.
const EDGES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000].map((ms) => ms / 1000);

/** A value for each of the last 60 seconds. `value(forwards)`; `top`: least upper end of the axis. */
export class TimeChart {
  constructor(element, label, value, top) {
    this.value = value;
    this.chart = new Chart(element, (size) => ({
      ...common(size),
      series: [{}, series(label)],
      scales: { x: { time: false, range: [-SECONDS, 0] }, y: { range: fromZero(top) } },
      axes: [axis({ values: (_, ticks) => ticks.map(agoText), space: 60, size: 22 }), numberAxis()],
    }));
    this.x = Array.from({ length: SECONDS }, (_, index) => index - SECONDS + 1);
  }

  /** `now`: of the server; nothing is known from before `since`. The second under way isn't shown: it always dips. */
  update(forwards, now, since) {
    const end = Math.floor(now);
    const values = perSecond(forwards, end, SECONDS, this.value);
    const isKnown = (index) => end - SECONDS + index >= since;
    this.chart.set([this.x, values.map((value, index) => (isKnown(index) ? value : null))]);
  }
}

/** How many rows took how long. */
export class LatencyChart {
  constructor(element) {
    this.chart = new Chart(element, (size) => ({
      ...common(size),
      series: [{}, { ...series("rows"), paths: uPlot.paths.bars({ size: [0.92, 60], align: 1 }) }],
      scales: { x: { time: false, range: [0, EDGES.length + 1] }, y: { range: fromZero(1) } },
      axes: [axis({ splits: edgePlaces, values: (_, ticks) => ticks.map(edgeLabel), size: 22 }), numberAxis()],
    }));
    this.x = Array.from({ length: EDGES.length + 1 }, (_, index) => index);
  }

  /** `sorted`: in seconds. */
  update(sorted) {
    this.chart.set([this.x, histogram(sorted, EDGES)]);
  }
}

/** A scale that begins at 0 and reaches to `top` at least. */
function fromZero(top) {
  return (_, low, high) => [0, Math.max(top, high * 1.1)];
}

function numberAxis() {
  return axis({ values: (_, ticks) => ticks.map(axisNumber) });
}

function agoText(seconds) {
  return seconds === 0 ? "now" : `${seconds} s`;
}

function edgePlaces() {
  return EDGES.map((_, index) => index + 1);
}

/** Ticks may be fractions where all values are small. */
function axisNumber(value) {
  return Number.isInteger(value) ? count(value) : String(value);
}

function edgeLabel(index) {
  // Every third has room for its label: 1, 10, 100 ms.
  const edge = EDGES[index - 1];
  return (index - 1) % 3 === 0 ? durationText(edge).replace(".0", "") : "";
}

/** A uPlot that is as large as its element, and made anew when the theme changes. */
class Chart {
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.plot = null;
    this.data = null;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(element);
    onThemeChange(() => this.make());
  }

  set(data) {
    this.data = data;
    if (this.plot === null) this.make();
    else this.plot.setData(data);
  }

  make() {
    this.plot?.destroy();
    if (this.data !== null) this.plot = new uPlot(this.options(this.size()), this.data, this.element);
  }

  size() {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }
}

function common(size) {
  return { ...size, legend: { show: false }, cursor: { show: false }, padding: [8, 16, 0, 0] };
}

function series(label) {
  const [stroke, fill] = [themeColour("--accent"), themeColour("--accent-soft")];
  return { label, stroke, fill, width: 1.5, points: { show: false } };
}

function axis(more) {
  const line = { stroke: themeColour("--line"), width: 1 };
  const ticks = { ...line, size: 4 };
  return { stroke: themeColour("--quiet"), font: FONT, grid: line, ticks, size: 34, gap: 4, ...more };
}
