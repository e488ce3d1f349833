// The moving strip: a block for each forward, its rows stacked by adapter.

import { colourOf, onThemeChange, themeColour } from "./colour.js";

// What is newer than this may still be on its way.
const LAG_SECONDS = 0.35;
const TOP_PX = 16;
const BOTTOM_PX = 16;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const FRAME_MS = 33;
const CALM_FRAME_MS = 1000;

export class Strip {
  constructor(canvas, forwards) {
    this.canvas = canvas;
    this.forwards = forwards;
    this.context = canvas.getContext("2d");
    this.seconds = 3;
    this.paused = null;
    this.pointer = null;
    this.lastDrawn = 0;
    this.readTheme();
    onThemeChange(() => this.readTheme());
    canvas.addEventListener("pointermove", (event) => (this.pointer = { x: event.offsetX, y: event.offsetY }));
    canvas.addEventListener("pointerleave", () => (this.pointer = null));
  }

  /** Draw from now on; `onHover(forward or null)` tells what is under the pointer. */
  start(onHover) {
    const draw = (at) => {
      requestAnimationFrame(draw);
      if (at - this.lastDrawn < (CALM.matches ? CALM_FRAME_MS : FRAME_MS) - 4) return;
      this.lastDrawn = at;
      onHover(this.draw(at / 1000));
    };
    requestAnimationFrame(draw);
  }

  /** Stand still, or go on. */
  pause(on) {
    this.paused = on ? { at: this.rightEdge(performance.now() / 1000), list: this.forwards.list.slice() } : null;
  }

  rightEdge(local) {
    const now = this.forwards.now(local);
    return now === null ? null : now - LAG_SECONDS;
  }

  readTheme() {
    this.colours = { line: themeColour("--line"), quiet: themeColour("--quiet"), bad: themeColour("--bad") };
    this.hatch = hatchPattern(this.context, this.colours.quiet);
  }

  draw(local) {
    const { width, height } = this.fit();
    this.context.clearRect(0, 0, width, height);
    const right = this.paused ? this.paused.at : this.rightEdge(local);
    if (right === null) return null;
    const left = right - this.seconds;
    const shown = this.shown(left, right);
    const scale = { left, perSecond: width / this.seconds, top: TOP_PX, height: height - TOP_PX - BOTTOM_PX };
    scale.rows = niceCeiling(Math.max(1, ...shown.map((each) => each.rows)));
    this.drawAxes(scale, width, height, right);
    for (const forward of shown) this.drawForward(forward, scale);
    return this.hovered(shown, scale);
  }

  shown(left, right) {
    const list = this.paused ? this.paused.list : this.forwards.since(left);
    return list.filter((each) => each.end > left && each.start < right);
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return { width, height };
  }

  drawAxes(scale, width, height, right) {
    const context = this.context;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = this.colours.quiet;
    context.strokeStyle = this.colours.line;
    context.lineWidth = 1;
    const step = this.seconds <= 1 ? 0.2 : this.seconds <= 3 ? 0.5 : 2;
    context.textAlign = "center";
    for (let time = Math.ceil(scale.left / step) * step; time < right; time += step) {
      const x = (time - scale.left) * scale.perSecond;
      line(context, x, scale.top, x, scale.top + scale.height);
      if (x > 24 && x < width - 24) context.fillText(timeLabel(time, step), x, height - 4);
    }
    for (const share of [0.5, 1]) {
      const y = Math.round(scale.top + scale.height * (1 - share)) + 0.5;
      line(context, 0, y, width, y);
    }
    line(context, 0, scale.top + scale.height + 0.5, width, scale.top + scale.height + 0.5);
    context.textAlign = "left";
    context.fillText(`${scale.rows} ${scale.rows === 1 ? "row" : "rows"}`, 4, scale.top - 4);
  }

  drawForward(forward, scale) {
    const context = this.context;
    const x = (forward.start - scale.left) * scale.perSecond;
    const traversal = forward.traversal * scale.perSecond;
    const compute = forward.compute * scale.perSecond;
    if (traversal > 0) {
      context.fillStyle = this.hatch;
      context.fillRect(x, scale.top, Math.max(1.5, traversal), scale.height);
    }
    // A hairline between neighbours, where there is room for it.
    const width = Math.max(0.8, compute > 3 ? compute - 1 : compute);
    let y = scale.top + scale.height;
    for (const [id, rows] of forward.adapters) {
      const height = (rows / scale.rows) * scale.height;
      y -= height;
      context.fillStyle = colourOf(id);
      context.fillRect(x + traversal, y, width, height > 3 ? height - 0.5 : height);
    }
    if (forward.kernel === null) {
      context.strokeStyle = this.colours.bad;
      context.lineWidth = 2;
      context.strokeRect(x + traversal, y, width, scale.top + scale.height - y);
    }
  }

  hovered(shown, scale) {
    if (this.pointer === null) return null;
    const time = scale.left + this.pointer.x / scale.perSecond;
    // Near enough is good enough: blocks may be as narrow as a pixel.
    const slack = 2 / scale.perSecond;
    return shown.findLast((each) => each.start - slack <= time && time <= each.end + slack) ?? null;
  }
}

function timeLabel(time, step) {
  const date = new Date(Math.round(time * 10) * 100);
  const text = date.toLocaleTimeString("en-GB");
  return step < 1 ? `${text}.${Math.round(date.getMilliseconds() / 100)}` : text;
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** 1, 2, 4, 8 and so on, or half-way between. */
function niceCeiling(value) {
  const power = 2 ** Math.ceil(Math.log2(value));
  return power >= 8 && value <= power * 0.75 ? power * 0.75 : power;
}

function hatchPattern(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 5;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1.2;
  for (const shift of [-5, 0, 5]) line(pen, shift, 5, shift + 5, 0);
  return context.createPattern(tile, "repeat");
}
