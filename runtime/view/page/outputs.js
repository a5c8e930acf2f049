// The model's outputs: the current values with score bars, and one timeline per output over the last minute.

import { colour, find, keep, make, say, seen, surface } from "./dom.js";
import { hue, percent, reading } from "./format.js";

const SPAN_MS = 60_000;
const MOST_SPANS = 4000; // a minute of plain numbers at 60 per second
const rows = new Map(); // by output: spans of time with the same value
let announced = new Map();
let announcedAt = 0;

let kinds = {};
export const learn = (run) => { kinds = run.kinds; };

// Another camera's values are another story.
export const forget = () => rows.clear();

export function record({ outputs }) {
  const now = performance.now();
  for (const [name, value] of Object.entries(outputs)) {
    const { label, score, numbers } = reading(value, kinds[name]);
    const row = rows.get(name) ?? [];
    rows.set(name, row);
    const last = row.at(-1);
    // A gap of one second ends a span: there was no prediction.
    if (numbers) row.push({ numbers, from: now, to: now });
    else if (last && last.label === label && now - last.to < 1000) {
      last.to = now;
      last.score = score;
    } else {
      row.push({ label, score, from: now, to: now });
    }
    while (row.length && row[0].to < now - SPAN_MS) row.shift();
    if (row.length > MOST_SPANS) row.shift();
  }
}

export function drawOutputs({ outputs }) {
  const names = Object.keys(outputs);
  const shown = keep(find("outputs"), names, (name) => make(
    "li", {}, make("h3", {}, make("span", { text: name }), make("b", {}, make("span"), make("small"))), make("div", { class: "bars" }),
  ));
  for (const block of shown) now(block, reading(outputs[block.dataset.key], kinds[block.dataset.key]));
  const lines = keep(find("timeline"), names, (name) => {
    const canvas = make("canvas", { role: "img", "aria-label": `${name} over the last minute` });
    return make("div", {}, make("span", { text: name }), canvas);
  });
  for (const line of lines) past(line.lastChild, rows.get(line.dataset.key) ?? []);
  announce(outputs);
}

function now(block, { head, score, bars }) {
  const [top, list] = block.children;
  const [words, figure] = top.lastChild.children;
  say(words, head);
  say(figure, score === null || bars.length ? "" : percent(score));
  const kept = keep(list, bars.map(([label]) => label), (label) => make(
    "div", { class: "bar" }, make("span", { text: label }), make("meter", { min: 0, max: 1, "aria-label": label }), make("span"),
  ));
  kept.forEach((bar, i) => {
    const [, meter, share] = bar.children;
    meter.value = bars[i][1];
    say(share, percent(bars[i][1]));
  });
}

function past(canvas, spans) {
  if (!seen(canvas)) return;
  const { context, width, height } = surface(canvas);
  const end = performance.now();
  const x = (t) => width * (1 - (end - t) / SPAN_MS);
  context.fillStyle = colour("line");
  context.fillRect(0, height - 1, width, 1);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  if (spans.at(-1)?.numbers) lines(context, spans, x, height);
  for (const { label, from, to } of spans) {
    if (label === null || label === undefined) continue;
    const [left, right] = [Math.max(0, x(from)), Math.max(x(to), x(from) + 1)];
    const tint = colour(hue(label));
    context.globalAlpha = 0.2;
    context.fillStyle = tint;
    context.fillRect(left, 0, right - left, height - 1);
    context.globalAlpha = 1;
    context.fillRect(left, 0, Math.min(2, right - left), height - 1);
    if (right - left > context.measureText(label).width + 10) {
      context.fillStyle = colour("ink");
      context.fillText(label, left + 6, height / 2);
    }
  }
}

// Each number has its own scale, since they may be unrelated.
function lines(context, spans, x, height) {
  const shown = spans.filter(({ numbers }) => numbers);
  shown.at(-1).numbers.forEach(([name], i) => {
    const values = shown.map(({ numbers }) => numbers[i]?.[1] ?? 0);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const path = new Path2D();
    shown.forEach(({ from }, j) => path.lineTo(x(from), height - 2 - ((values[j] - least) / (most - least || 1)) * (height - 4)));
    context.strokeStyle = colour(hue(name));
    context.stroke(path);
  });
}

// Announced to screen readers when it changes, at most every three seconds, and never the first time.
function announce(outputs) {
  const time = performance.now();
  if (time - announcedAt < 3000) return;
  const heads = new Map(Object.entries(outputs).map(([name, value]) => [name, reading(value, kinds[name])]).filter(([, r]) => r.bars.length).map(([name, r]) => [name, r.head]));
  const changed = [...heads].filter(([name, head]) => announced.has(name) && announced.get(name) !== head);
  announced = heads;
  if (!changed.length) return;
  announcedAt = time;
  say(find("announcement"), changed.map(([name, head]) => `${name}: ${head}`).join(". "));
}
