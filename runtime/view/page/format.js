// Formats values for display, and assigns a hue to each label.

export const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const percent = (score) => `${Math.round(score * 100)} %`;

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export const ago = (seconds) => (seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`);

// The display name of each state.
const STATES = {
  starting: "starting", live: "live", stale: "stale", lost: "lost", reconnecting: "reconnecting", refused: "refused", ended: "ended",
  fresh: "fresh", held: "reused", missing: "missing", waiting: "waiting", ok: "OK", degraded: "Degraded",
};
export const state = (word) => STATES[word] ?? word;

// A decoded output as a headline, a score, and bars if it has several scores. Plain numbers are not shares, so they have
// no bars.
export function reading(value, kind) {
  if (kind === "scores" || kind === "embedding") return plain(value);
  if (typeof value === "string") return { head: value || "–", label: value, score: null, bars: [] };
  if (typeof value === "number") return { head: number(value, 3), label: null, score: value, bars: [] };
  if (Array.isArray(value)) return listed(value);
  if (value && "label" in value) return { head: value.label, label: value.label, score: value.score, bars: ranked(Object.entries(value.scores)) };
  if (value && "x" in value) {
    const seen = value.x !== null;
    return { head: seen ? `x ${Math.round(value.x)}, y ${Math.round(value.y)}` : "not detected", label: seen ? "detected" : null, score: value.score, bars: [] };
  }
  if (value) return best(Object.entries(value));
  return { head: "–", label: null, score: null, bars: [] };
}

function plain(value) {
  const named = !Array.isArray(value);
  const numbers = named ? Object.entries(value) : value.map((v, i) => [String(i), v]);
  const formatted = numbers.map(([name, v]) => (named ? `${name} ${significant(v)}` : significant(v)));
  return { head: formatted.length > 6 ? `${formatted.length} numbers` : formatted.join(", "), label: null, score: null, bars: [], numbers: numbers.slice(0, 6) };
}

const significant = (value) => String(Number(value.toPrecision(3)));

function listed(items) {
  if (!items.length) return { head: "none", label: null, score: 0, bars: [] };
  if (typeof items[0] === "number") return { head: items.length > 3 ? `${items.length} numbers` : items.map((v) => number(v, 2)).join(", "), label: null, score: items[0], bars: [] };
  if ("prompt" in items[0]) return best(items.map((item) => [item.prompt, item.score]));
  const counts = new Map();
  for (const { label } of items) counts.set(label, (counts.get(label) ?? 0) + 1);
  const head = [...counts].map(([label, count]) => (count > 1 ? `${count} × ${label}` : label)).join(", ");
  return { head, label: head, score: items[0].score, bars: [] };
}

function best(pairs) {
  const bars = ranked(pairs);
  const [label, score] = bars[0] ?? [null, null];
  return { head: label ?? "–", label, score, bars };
}

const ranked = (pairs) => pairs.filter(([, score]) => typeof score === "number").sort((a, b) => b[1] - a[1]).slice(0, 5);

// Assigned in order of appearance, so that a label keeps its hue everywhere while the page is open.
const hues = new Map();
export function hue(label) {
  if (!hues.has(label)) hues.set(label, hues.size % 8);
  return `hue-${hues.get(label)}`;
}
