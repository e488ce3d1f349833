// Numbers and names as people read them.

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];

export const BASE_NAME = "(base model)";

/** The name of an adapter; the empty id is the base. */
export function nameOf(id) {
  return id === "" ? BASE_NAME : id;
}

export function count(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 10_000 ? String(Math.round(value)) : compact.format(value);
}

/** A number that isn't one of things: below 10 with a decimal, so that its width is steady. */
export function rate(value) {
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(value);
}

export function percent(share) {
  return Number.isFinite(share) ? String(Math.round(share * 100)) : "–";
}

/** A duration in its own unit, as [number, unit]. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return ["–", ""];
  if (seconds < 1) {
    const ms = seconds * 1000;
    return [ms < 10 ? ms.toFixed(1) : ms.toFixed(0), "ms"];
  }
  if (seconds < 120) return [seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0), "s"];
  const minutes = seconds / 60;
  if (minutes < 120) return [minutes.toFixed(0), "min"];
  return minutes < 2880 ? [(minutes / 60).toFixed(0), "h"] : [(minutes / 1440).toFixed(0), "days"];
}

export function durationText(seconds) {
  return duration(seconds).join(" ").trim();
}

export function bytes(value) {
  let unit = 0;
  while (value >= 1024 && unit < BYTES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : value.toFixed(0)} ${BYTES[unit]}`;
}

export function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}
