// The table of adapters. All text is set as text.

import { colourOf, onThemeChange } from "./colour.js";
import { bytes, count, durationText, nameOf, rate } from "./format.js";

const SORT_EVERY_MS = 2000;

const COLUMNS = [
  { title: "Adapter", sort: (row) => row.id, text: true, ascending: true },
  { title: "State", sort: (row) => row.state, text: true, ascending: true, show: (row) => row.state ?? "" },
  { title: "Tier", sort: (row) => row.tier ?? "", text: true, ascending: true, show: tierText },
  { title: "Executor", sort: (row) => row.executor ?? "", text: true, ascending: true, show: (row) => row.executor ?? "" },
  { title: "Method", sort: (row) => row.peft_type ?? "", text: true, ascending: true, show: methodText },
  { title: "Size", sort: (row) => row.size_bytes ?? 0, show: (row) => (row.size_bytes ? bytes(row.size_bytes) : "") },
  { title: "Rows/s", sort: (row) => row.rate, show: (row) => rate(row.rate) },
  { title: "In flight", sort: (row) => row.num_in_flight ?? 0, show: (row) => (row.id === "" ? "" : count(row.num_in_flight)) },
  { title: "Queued", sort: (row) => row.num_queued, queue: true },
  { title: "Oldest wait", sort: (row) => row.oldest_wait_seconds ?? 0, show: (row) => (row.oldest_wait_seconds ? durationText(row.oldest_wait_seconds) : "") },
  { title: "Answered", sort: (row) => row.num_rows_answered ?? 0, show: (row) => (row.id === "" ? "" : count(row.num_rows_answered)) },
];

export class AdapterTable {
  constructor(table, filter) {
    this.body = table.tBodies[0];
    this.filter = filter;
    this.lines = new Map();
    this.rows = [];
    this.sortedAt = -Infinity;
    this.column = COLUMNS.findIndex((column) => column.title === "Rows/s");
    this.descending = true;
    this.heads = COLUMNS.map((column, index) => this.head(table.tHead.rows[0], column, index));
    this.tellOrder();
    filter.addEventListener("input", () => this.arrange());
    onThemeChange(() => this.lines.forEach((line, id) => (line.swatch.style.background = colourOf(id))));
  }

  /** Show `rows`: adapters as in /api/status, with `rate`, rows per second. */
  update(rows) {
    this.rows = rows;
    this.mostQueued = Math.max(1, ...rows.map((row) => row.num_queued));
    const seen = new Set(rows.map((row) => row.id));
    for (const [id, line] of this.lines) if (!seen.has(id)) this.drop(id, line);
    for (const row of rows) this.show(row);
    // Not at every update: what moves can't be read.
    if (performance.now() - this.sortedAt > SORT_EVERY_MS || rows.length !== this.body.rows.length) this.arrange();
  }

  arrange() {
    this.sortedAt = performance.now();
    const { sort } = COLUMNS[this.column];
    const sign = this.descending ? -1 : 1;
    const answered = (row) => row.num_rows_answered ?? 0;
    const order = [...this.rows].sort(
      (a, b) => sign * compare(sort(a), sort(b)) || compare(answered(b), answered(a)) || compare(a.id, b.id),
    );
    const wanted = this.filter.value.trim().toLowerCase();
    order.forEach((row, index) => {
      const { element } = this.lines.get(row.id);
      element.hidden = wanted !== "" && !searchText(row).includes(wanted);
      if (this.body.rows[index] !== element) this.body.insertBefore(element, this.body.rows[index] ?? null);
    });
  }

  head(parent, column, index) {
    const cell = document.createElement("th");
    const button = document.createElement("button");
    cell.scope = "col";
    cell.className = column.text ? "text" : "";
    button.type = "button";
    button.textContent = column.title;
    button.addEventListener("click", () => this.sortBy(index));
    cell.append(button);
    parent.append(cell);
    return cell;
  }

  sortBy(index) {
    this.descending = index === this.column ? !this.descending : !COLUMNS[index].ascending;
    this.column = index;
    this.tellOrder();
    this.arrange();
  }

  tellOrder() {
    this.heads.forEach((head, index) => {
      if (index === this.column) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  show(row) {
    let line = this.lines.get(row.id);
    if (line === undefined) {
      line = newLine(row.id);
      this.lines.set(row.id, line);
    }
    setText(line.note, noteOf(row));
    line.name.title = hintOf(row);
    if (row.state) line.cells[1].dataset.state = row.state;
    COLUMNS.forEach((column, index) => {
      if (column.queue) this.showQueue(line, row);
      else if (column.show) setText(line.cells[index], column.show(row));
    });
  }

  showQueue(line, row) {
    line.meter.max = this.mostQueued;
    line.meter.value = row.num_queued;
    line.meter.hidden = row.num_queued === 0;
    setText(line.queued, count(row.num_queued));
  }

  drop(id, line) {
    line.element.remove();
    this.lines.delete(id);
  }
}

function newLine(id) {
  const element = document.createElement("tr");
  const cells = COLUMNS.map((column) => {
    const cell = document.createElement("td");
    cell.className = column.text ? "text" : "";
    element.append(cell);
    return cell;
  });
  const [name, swatch, label, note] = ["div", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.className = "name";
  swatch.className = "swatch";
  swatch.style.background = colourOf(id);
  label.className = "id";
  label.textContent = nameOf(id);
  note.className = "quiet";
  name.append(swatch, label, note);
  cells[0].append(name);
  const [meter, queued] = ["meter", "span"].map((tag) => document.createElement(tag));
  meter.ariaLabel = "share of the longest queue";
  cells[COLUMNS.findIndex((column) => column.queue)].append(meter, queued);
  return { element, cells, name, swatch, note, meter, queued };
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tierText(row) {
  return [row.tier?.toLowerCase() ?? "", row.pinned ? "pinned" : ""].filter(Boolean).join(", ");
}

function methodText(row) {
  if (!row.peft_type) return "";
  return row.rank ? `${row.peft_type}, rank ${row.rank}` : row.peft_type;
}

/** The operator's own labels. */
function noteOf(row) {
  return Object.entries(row.metadata ?? {}).map(([key, value]) => (value ? `${key}=${value}` : key)).join("  ");
}

function hintOf(row) {
  return [row.task, row.revision && `revision ${row.revision}`, noteOf(row)].filter(Boolean).join("\n");
}

function searchText(row) {
  return [nameOf(row.id), row.state, tierText(row), row.executor, row.peft_type, row.task, noteOf(row)].join(" ").toLowerCase();
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
