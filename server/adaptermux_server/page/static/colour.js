// Colours of adapters. Each comes from the adapter's id, so it is the same in every session; of the busiest, those that
// would be hard to tell apart get the next that is free: the first twelve differ in hue, the next in tone.

const HUES = 12;
const TONES = {
  light: [[0.6, 0.13], [0.45, 0.12], [0.74, 0.11]],
  dark: [[0.7, 0.12], [0.55, 0.13], [0.83, 0.09]],
};
const NUM_COLOURS = HUES * TONES.light.length;
// Has no divisor in common with the number of hues, so that all are tried, and those near each other late.
const STEP = 5;

const dark = matchMedia("(prefers-color-scheme: dark)");
const given = new Map();

/** FNV-1a, mixed at the end so that ids with a common beginning differ in all bits. */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Give colours of their own to as many of these as there are colours; `ids`: the busiest first. */
export function giveColours(ids) {
  const fresh = ids.filter((id) => !given.has(id)).slice(0, NUM_COLOURS - given.size);
  for (const id of fresh.sort()) given.set(id, freeNumber(hashOf(id) % NUM_COLOURS));
}

/** The free colour nearest to the wished one, of a hue that isn't given more often than others. */
function freeNumber(wished) {
  const taken = new Set(given.values());
  const isFree = (number) => !taken.has(number);
  const tonesOf = (hue) => TONES.light.map((_, tone) => ((tone * HUES + wished - (wished % HUES)) % NUM_COLOURS) + hue);
  const most = TONES.light.length - Math.floor(given.size / HUES);
  let hue = wished % HUES;
  while (tonesOf(hue).filter(isFree).length < most) hue = (hue + STEP) % HUES;
  return tonesOf(hue).find(isFree);
}

/** CSS colour of an adapter; the base, with the empty id, is grey. */
export function colourOf(id) {
  const number = given.get(id) ?? hashOf(id) % NUM_COLOURS;
  const tones = dark.matches ? TONES.dark : TONES.light;
  const [lightness, chroma] = tones[Math.floor(number / HUES)];
  const hue = ((number % HUES) * 360) / HUES + 15;
  return id === "" ? `oklch(${tones[0][0]} 0 0)` : `oklch(${lightness} ${chroma} ${hue})`;
}

/** Call `listener` when the page turns light or dark; colours of adapters have changed then. */
export function onThemeChange(listener) {
  dark.addEventListener("change", listener);
}

/** The value of a custom property of the style sheet, such as `--ink`. */
export function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
