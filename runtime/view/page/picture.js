// The camera image with the model's outputs drawn over it, in image pixels.

import { colour, find, keep, make, mark, say, seen } from "./dom.js";
import { hue, percent, reading } from "./format.js";

const canvas = find("picture");
const context = canvas.getContext("2d", { alpha: false });
const caption = find("caption");
const stage = canvas.parentElement;
const MOST_WIDTH = 1280;
let described = 0;
let kinds = {};
export const learn = (run) => { kinds = run.kinds; };

export async function show({ head, jpeg }, bitmap) {
  if (bitmap && seen(canvas)) {
    const [width, height] = fit(bitmap);
    context.drawImage(bitmap, 0, 0, width, height);
    const [sourceWidth] = head.picture.source;
    context.save();
    context.scale(width / sourceWidth, width / sourceWidth);
    const unit = sourceWidth / shownWidth(width, height); // one CSS pixel, in pixels of the source
    for (const [name, value] of Object.entries(head.outputs)) overlay(name, value, head.maps?.[name], unit);
    context.restore();
  }
  mark(find("no-picture"), "hidden", jpeg ? "" : null);
  label(head);
}

// The canvas has the resolution of the screen, so overlays are sharp and nothing is scaled twice.
function fit(bitmap) {
  const target = shownWidth(bitmap.width, bitmap.height) * (window.devicePixelRatio || 1);
  const scale = Math.min(MOST_WIDTH, target) / bitmap.width;
  const size = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  return size;
}

// In CSS pixels, within the canvas's box.
let box = [640, 360];
new ResizeObserver(([{ contentRect }]) => { box = [contentRect.width || 640, contentRect.height || 360]; }).observe(canvas);
const shownWidth = (width, height) => Math.min(box[0], (box[1] * width) / height);

export const stale = (yes) => mark(stage, "data-stale", yes ? "" : null);

function overlay(name, value, map, unit) {
  if (map && value?.x !== null) glow(map);
  if (Array.isArray(value)) {
    for (const thing of value) if (thing?.box) frame(thing, unit);
  } else if (value && typeof value === "object" && typeof value.x === "number") {
    point(name, value, unit);
  }
}

// A dark line under a light one is visible on any image.
function stroke(path, unit, light) {
  context.lineWidth = 4 * unit;
  context.strokeStyle = "rgb(0 0 0 / 65%)";
  context.stroke(path);
  context.lineWidth = 2 * unit;
  context.strokeStyle = light;
  context.stroke(path);
}

function tag(text, x, y, unit) {
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 8 * unit;
  const top = Math.max(0, y - 20 * unit);
  context.fillStyle = "rgb(0 0 0 / 72%)";
  context.fillRect(x, top, width, 20 * unit);
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, x + 4 * unit, top + 10 * unit);
}

function frame({ box: [x0, y0, x1, y1], label: word, score }, unit) {
  const path = new Path2D();
  path.rect(x0, y0, x1 - x0, y1 - y0);
  stroke(path, unit, colour(hue(word)));
  tag(`${word} ${percent(score)}`, x0, y0, unit);
}

function point(name, { x, y, score }, unit) {
  const path = new Path2D();
  path.arc(x, y, 12 * unit, 0, 2 * Math.PI);
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    path.moveTo(x + 8 * dx * unit, y + 8 * dy * unit);
    path.lineTo(x + 18 * dx * unit, y + 18 * dy * unit);
  }
  stroke(path, unit, "#fff");
  tag(`${name} ${percent(score)}`, x + 18 * unit, y - 12 * unit, unit);
}

// The heatmap, if the model returns one: rows of bytes, drawn over the part of the image that it covers. Its maximum is
// the position; the score is the model's confidence.
const heat = document.createElement("canvas");
function glow({ size: [columns, rows], box: [x0, y0, x1, y1], values }) {
  [heat.width, heat.height] = [columns, rows];
  const pixels = new ImageData(columns, rows);
  const levels = Uint8Array.from(atob(values), (c) => c.charCodeAt(0));
  const most = Math.max(1, ...levels);
  levels.forEach((v, i) => pixels.data.set([255, 90 + (150 * v) / most, 40, (170 * v) / most], 4 * i));
  heat.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(heat, x0, y0, x1 - x0, y1 - y0);
}

// Outputs with a position are drawn there; the others are listed in a corner.
const drawn = (value) => typeof value?.x === "number" || (Array.isArray(value) && !value[0]?.prompt);

// The caption over the image, and every two seconds the label for screen readers.
function label({ outputs, camera }) {
  const listed = Object.entries(outputs).filter(([name, value]) => !drawn(value) && !["scores", "embedding"].includes(kinds[name]));
  const words = new Map(listed.map(([name, value]) => [name, reading(value, kinds[name])]));
  if (camera) words.set("camera", { head: camera, score: null });
  const rows = keep(caption, [...words.keys()], (name) => make("li", {}, `${name} `, make("b")));
  for (const row of rows) {
    const { head, score } = words.get(row.dataset.key);
    say(row.querySelector("b"), score === null ? head : `${head} ${percent(score)}`);
  }
  if (performance.now() - described > 2000) {
    described = performance.now();
    const all = Object.entries(outputs).map(([name, value]) => `${name}: ${reading(value, kinds[name]).head}`);
    mark(canvas, "aria-label", `${camera ? `Image of the camera ${camera}` : "Camera image"}. ${all.join("; ")}`);
  }
}
