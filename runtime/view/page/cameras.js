// Several cameras: a tile for each, and the choice of the one that is shown large. With one camera there are no tiles.

import { find, keep, make, mark, say, seen } from "./dom.js";
import { percent, reading, state } from "./format.js";

const SILENT = ["lost", "stale", "reconnecting", "ended"];
let kinds = {};
let large = null;

export const isLarge = ({ camera }) => camera === undefined || camera === large;
export const isSilent = ({ sources }) => SILENT.includes(sources[large]?.state);

export function listen(link, changed) {
  // The server knows the choice of this connection only.
  link.addEventListener("connect", () => { if (large !== null) link.watch(large); });
  find("cameras").addEventListener("click", ({ target }) => {
    const chosen = target.closest("li")?.dataset.key;
    if (!chosen || chosen === large) return;
    large = chosen;
    link.watch(large);
    changed();
    press();
  });
}

export function learn({ cameras = {}, sources, kinds: known }) {
  kinds = known;
  const names = Object.keys(cameras);
  mark(find("all-cameras"), "hidden", names.length ? null : "");
  if (!names.includes(large)) large = names[0] ?? null;
  const tiles = keep(find("cameras"), names, (name) => make("li", {}, make(
    "button", { type: "button" }, make("canvas", { "aria-hidden": "true" }),
    make("span", { class: "name" }, make("span", { text: name }), make("span", { class: "dot" })), make("span", { class: "reading" }),
  )));
  for (const tile of tiles) {
    const now = sources[tile.dataset.key]?.state ?? "starting";
    const dot = tile.querySelector(".dot");
    mark(dot, "data-state", now);
    say(dot, state(now));
    mark(tile.firstChild, "data-stale", SILENT.includes(now) ? "" : null);
  }
  press();
}

function press() {
  for (const tile of find("cameras").children) mark(tile.firstChild, "aria-pressed", String(tile.dataset.key === large));
}

export function draw({ head }, bitmap) {
  const tile = [...find("cameras").children].find(({ dataset }) => dataset.key === head.camera);
  if (!tile) return;
  const canvas = tile.querySelector("canvas");
  if (bitmap && seen(canvas)) {
    const width = Math.min(bitmap.width, Math.round((canvas.clientWidth || 240) * (window.devicePixelRatio || 1)));
    const size = [width, Math.round((width * bitmap.height) / bitmap.width)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0, ...size);
  }
  const lines = Object.entries(head.outputs).map(([name, value]) => words(name, value, kinds[name]));
  say(tile.querySelector(".reading"), lines.filter(Boolean).join(", "));
}

function words(name, value, kind) {
  if (["scores", "embedding"].includes(kind)) return "";
  const { head, score } = reading(value, kind);
  return score === null || head === "not detected" ? `${name} ${head}` : `${name} ${head} ${percent(score)}`;
}
