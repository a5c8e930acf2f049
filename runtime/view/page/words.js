// Values in words, and the hue that a label keeps.

export const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const percent = (score) => `${Math.round(score * 100)} %`;

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value) => String(value).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export const ago = (seconds) => (seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`);

// What a state means, for people who do not know the word.
const STATES = {
  starting: "starting", live: "live", stale: "silent", lost: "lost", reconnecting: "trying again", ended: "ended",
  fresh: "fresh", held: "used again", missing: "missing", waiting: "waiting", ok: "All well", degraded: "Degraded",
};
export const state = (word) => STATES[word] ?? word;

// An output as the documents describe it: a headline, a score, and bars where there are several scores. Plain numbers are
// shares of nothing: they are told as they are.
export function reading(value, kind) {
  if (kind === "scores" || kind === "embedding") return plain(value);
  if (typeof value === "string") return { head: value || "–", label: value, score: null, bars: [] };
  if (typeof value === "number") return { head: number(value, 3), label: null, score: value, bars: [] };
  if (Array.isArray(value)) return listed(value);
  if (value && "label" in value) return { head: value.label, label: value.label, score: value.score, bars: ranked(Object.entries(value.scores)) };
  if (value && "x" in value) {
    const seen = value.x !== null;
    return { head: seen ? `x ${Math.round(value.x)}, y ${Math.round(value.y)}` : "not seen", label: seen ? "seen" : null, score: value.score, bars: [] };
  }
  if (value) return best(Object.entries(value));
  return { head: "–", label: null, score: null, bars: [] };
}

function plain(value) {
  const named = !Array.isArray(value);
  const numbers = named ? Object.entries(value) : value.map((v, i) => [String(i), v]);
  const told = numbers.map(([name, v]) => (named ? `${name} ${significant(v)}` : significant(v)));
  return { head: told.length > 6 ? `${told.length} numbers` : told.join(", "), label: null, score: null, bars: [], numbers: numbers.slice(0, 6) };
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

// In the order in which labels turn up, so that a label has the same hue everywhere and as long as the page is open.
const hues = new Map();
export function hue(label) {
  if (!hues.has(label)) hues.set(label, hues.size % 8);
  return `hue-${hues.get(label)}`;
}
