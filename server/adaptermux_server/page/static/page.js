// Puts the page together: what comes from the server, and where it is shown.

import { LatencyChart, TimeChart } from "./charts.js";
import { colourOf, giveColours } from "./colour.js";
import { Connection } from "./connection.js";
import { Forwards, latencies, quantile, rowsByAdapter, summary } from "./forwards.js";
import { bytes, clockTime, count, duration, durationText, nameOf, percent, rate } from "./format.js";
import { Strip } from "./strip.js";
import { AdapterTable } from "./table.js";

const REFRESH_MS = 1000;
const FIGURE_SECONDS = 10;
const LATENCY_SECONDS = 30;
const LEGEND_SIZE = 10;
const NEWS_SECONDS = 60;

const forwards = new Forwards();
const strip = new Strip(byId("strip"), forwards);
const table = new AdapterTable(byId("adapters"), byId("filter"));
const throughput = new TimeChart(byId("throughput"), "rows", (each) => each.reduce((sum, one) => sum + one.rows, 0), 1);
const padding = new TimeChart(byId("padding"), "padding", (each) => (each.length ? 100 * summary(each, 1).padding : null), 10);
const latency = new LatencyChart(byId("latency"));
let status = null;
let restartedAt = -Infinity;

const connection = new Connection({ onStatus, onFrame, onStream: () => forwards.beginStream(localNow()), onState });
connection.start();
strip.start(showHovered);
setInterval(refresh, REFRESH_MS);
byId("window").addEventListener("change", (event) => (strip.seconds = Number(event.target.value)));
byId("pause").addEventListener("click", togglePause);

function onStatus(next) {
  if (status !== null && status.start_time !== next.start_time) {
    forwards.clear();
    restartedAt = localNow();
  }
  forwards.setClock(next.now, localNow());
  status = next;
  giveColours(next.adapters.map((each) => each.id));
  showServer();
  refresh();
}

function onFrame(frame) {
  forwards.add(frame, localNow());
}

function onState(state, text) {
  const element = byId("connection");
  const isNews = state === "live" && localNow() - restartedAt < NEWS_SECONDS;
  setText(element, isNews ? `live; the server was started again at ${clockTime(status.start_time)}` : text);
  element.dataset.state = state;
}

function refresh() {
  const now = forwards.now(localNow());
  if (now === null || status === null) return;
  const recent = forwards.since(now - FIGURE_SECONDS);
  showFigures(recent);
  showTable(recent);
  if (strip.paused === null) showLegend(forwards.since(now - strip.seconds));
  throughput.update(forwards.list, now, forwards.begunAt);
  padding.update(forwards.list, now, forwards.begunAt);
  latency.update(latencies(forwards.since(now - LATENCY_SECONDS)));
}

function showFigures(recent) {
  const sums = summary(recent, FIGURE_SECONDS);
  const sorted = latencies(recent);
  const [p50, p95] = [0.5, 0.95].map((share) => duration(quantile(sorted, share)));
  showPairs(byId("figures"), [
    ["rows per second", rate(sums.rowsPerSecond)],
    ["forwards per second", rate(sums.forwardsPerSecond)],
    ["rows per forward", rate(sums.rowsPerForward)],
    ["adapters per forward", rate(sums.adaptersPerForward)],
    ["engine busy", percent(sums.busy), "%"],
    ["median of a row", ...p50],
    ["95 % of rows within", ...p95],
    ["rows queued", count(status.num_rows_queued)],
  ]);
}

function showServer() {
  const { model, version, start_time: startTime, now } = status;
  setText(byId("server"), `${model.id} · ${model.device}, ${model.dtype} · version ${version} · up ${durationText(now - startTime)}`);
  document.title = `${model.id} · AdapterMux`;
  const tiers = status.adapters_by_tier;
  const { hits, host_misses: host, disk_misses: disk, evictions, prefetches } = status.tier_counts;
  showPairs(byId("tiers"), [
    ["Adapters in the engine", count(tiers.DEVICE ?? 0)],
    ["in host memory", count(tiers.HOST ?? 0)],
    ["on the disk alone", count(tiers.DISK ?? 0)],
    ["Found in the engine", hits + host + disk ? `${percent(hits / (hits + host + disk))} % of ${count(hits + host + disk)}` : "–"],
    ["Evictions, prefetches", `${count(evictions)}, ${count(prefetches)}`],
  ]);
  const memory = status.memory;
  showPairs(byId("memory"), [
    ["Base model", bytes(memory.base)],
    ["Adapters in the engine", withLimit(memory.adapters, memory.adapters_limit)],
    ["Adapters in host memory", withLimit(memory.host_adapters, memory.host_adapters_limit)],
    ["Store on the disk", bytes(memory.store)],
    ["Process, resident", bytes(memory.resident)],
  ]);
  showSince();
  setText(byId("libraries"), Object.entries(status.library_versions).map((pair) => pair.join(" ")).join(" · "));
}

function showSince() {
  const { rows, costs } = status;
  const kernels = Object.entries(status.forwards_by_kernel).filter(([, number]) => number > 0);
  showPairs(byId("since"), [
    ["Rows answered", `${count(rows.answered)} of ${count(rows.accepted)}`],
    ["Failed, cancelled, expired, refused", [rows.failed, rows.cancelled, rows.expired, rows.rejected].map(count).join(", ")],
    ["Forwards by kernel", kernels.map(([kernel, number]) => `${kernel} ${count(number)}`).join(", ") || "–"],
    ["Traversals (in arrival order)", `${count(status.num_traversals)} (${count(status.num_traversals_in_arrival_order)})`],
    ["Cost of a traversal, a forward", `${durationText(costs.traversal_seconds)}, ${durationText(costs.batch_seconds)}`],
  ]);
}

function showTable(recent) {
  const rates = rowsByAdapter(recent);
  const rateOf = (id) => (rates.get(id) ?? 0) / FIGURE_SECONDS;
  const rows = status.adapters.map((adapter) => ({ ...adapter, rate: rateOf(adapter.id) }));
  if (rates.has("") || status.base_queued > 0) rows.push({ id: "", rate: rateOf(""), num_queued: status.base_queued });
  table.update(rows);
  const [shown, all] = [status.adapters.length, status.num_adapters];
  const states = Object.entries(status.adapters_by_state).map(([state, number]) => `${count(number)} ${state.toLowerCase()}`);
  setText(byId("adapters-note"), shown < all ? `${states.join(", ")}; the busiest ${shown} are shown` : states.join(", "));
}

function showLegend(shown) {
  const rows = [...rowsByAdapter(shown)].sort((a, b) => b[1] - a[1]);
  const total = rows.reduce((sum, [, number]) => sum + number, 0);
  const items = rows.slice(0, LEGEND_SIZE).map(([id, number]) => legendItem(id, `${percent(number / total)} %`));
  if (rows.length > LEGEND_SIZE) items.push(legendItem(null, `and ${rows.length - LEGEND_SIZE} more`));
  byId("legend").replaceChildren(...items);
}

function legendItem(id, note) {
  const item = document.createElement("li");
  if (id !== null) {
    const [swatch, label] = [document.createElement("span"), document.createElement("span")];
    swatch.className = "swatch";
    swatch.style.background = colourOf(id);
    label.className = "id";
    label.textContent = nameOf(id);
    item.append(swatch, label);
  }
  const share = document.createElement("span");
  share.className = "quiet";
  share.textContent = note;
  item.append(share);
  return item;
}

function showHovered(forward) {
  setText(byId("readout"), forward === null ? missedText() : forwardText(forward));
}

function forwardText(forward) {
  const adapters = forward.adapters.slice(0, 4).map(([id, rows]) => `${nameOf(id)} ${rows}`).join(", ");
  const more = forward.adapters.length > 4 ? ` and ${forward.adapters.length - 4} more` : "";
  const traversal = forward.traversal > 0 ? `, after a traversal of ${durationText(forward.traversal)}` : "";
  const spare = forward.padded_tokens ? percent(1 - forward.tokens / forward.padded_tokens) : "0";
  const how = forward.kernel ?? "failed";
  return `${forward.rows} rows in ${durationText(forward.compute)}${traversal}; ${how}; ${spare} % padding: ${adapters}${more}`;
}

function missedText() {
  return forwards.numMissed > 0 ? `${count(forwards.numMissed)} forwards came too fast to be shown` : "Point at a forward to read it.";
}

function togglePause() {
  const on = strip.paused === null;
  strip.pause(on);
  byId("pause").setAttribute("aria-pressed", String(on));
  setText(byId("pause"), on ? "Go on" : "Pause");
}

function withLimit(value, limit) {
  return limit === null ? bytes(value) : `${bytes(value)} of ${bytes(limit)}`;
}

/** Fill a <dl> with [term, value, unit]; elements are kept, so that what is selected stays selected. */
function showPairs(list, pairs) {
  const isWrapped = list.id === "figures";
  if (list.querySelectorAll("dt").length !== pairs.length) list.replaceChildren(...pairs.flatMap(() => newPair(isWrapped)));
  const [terms, values] = [list.querySelectorAll("dt"), list.querySelectorAll("dd")];
  pairs.forEach(([term, value, unit], index) => {
    setText(terms[index], term);
    setText(values[index].firstChild, value);
    setText(values[index].lastChild, unit ?? "");
  });
}

function newPair(isWrapped) {
  const [term, value] = [document.createElement("dt"), document.createElement("dd")];
  value.append(document.createElement("span"), document.createElement("small"));
  if (!isWrapped) return [term, value];
  const pair = document.createElement("div");
  pair.append(term, value);
  return [pair];
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function localNow() {
  return performance.now() / 1000;
}

function byId(id) {
  return document.getElementById(id);
}
