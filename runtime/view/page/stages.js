// The p50 and p99 latency of every stage: as numbers, and as a chart of the last minute.

import { colour, find, keep, make, mark, say, seen, surface } from "./dom.js";
import { number } from "./format.js";

const POINTS = 240; // states arrive four times per second
const pasts = new Map();

export function drawStages({ stages }) {
  const names = Object.keys(stages).sort((a, b) => (a === "total") - (b === "total"));
  const body = find("stages").tBodies[0];
  const rows = keep(body, names, (name) => make(
    "tr", name === "total" ? { class: "whole" } : {}, make("th", { scope: "row", text: name }),
    make("td", {}, make("canvas", { role: "img", "aria-label": `${name}: latency over the last minute` })), make("td"), make("td"),
  ));
  for (const row of rows) {
    const { p50, p99 } = stages[row.dataset.key];
    const past = pasts.get(row.dataset.key) ?? [];
    pasts.set(row.dataset.key, past);
    past.push([p50, p99]);
    if (past.length > POINTS) past.shift();
    const [, line, middle, worst] = row.children;
    say(middle, number(p50, p50 < 10 ? 2 : 1));
    say(worst, number(p99, p99 < 10 ? 2 : 1));
    draw(line.firstChild, past);
  }
  for (const name of pasts.keys()) if (!(name in stages)) pasts.delete(name);
  mark(find("stages"), "hidden", names.length ? null : "");
}

// The axis starts at zero; the band between the lines is the range from p50 to p99.
function draw(canvas, past) {
  if (!seen(canvas)) return;
  const { context, width, height } = surface(canvas);
  const most = Math.max(...past.map(([, p99]) => p99)) * 1.1 || 1;
  const x = (i) => width - (past.length - 1 - i) * (width / (POINTS - 1));
  const y = (ms) => height - 1 - (ms / most) * (height - 3);
  context.fillStyle = colour("line");
  context.fillRect(0, height - 1, width, 1);
  const line = (which) => {
    const path = new Path2D();
    past.forEach((pair, i) => path.lineTo(x(i), y(pair[which])));
    return path;
  };
  const band = line(1);
  for (let i = past.length - 1; i >= 0; i -= 1) band.lineTo(x(i), y(past[i][0]));
  context.fillStyle = colour("accent");
  context.globalAlpha = 0.15;
  context.fill(band);
  context.strokeStyle = colour("accent");
  context.globalAlpha = 0.45;
  context.stroke(line(1));
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  context.stroke(line(0));
}
