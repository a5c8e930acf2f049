// The entry point: draws frames as they arrive, states four times per second, and plots at a lower rate.

import * as cameras from "./cameras.js";
import { listen as listenControls, drawControls } from "./controls.js";
import { drawOutputs, forget, learn as learnKinds, record } from "./outputs.js";
import { find, mark, say } from "./dom.js";
import { drawEvents, drawInputs, drawMachine } from "./inputs.js";
import { Link } from "./link.js";
import { learn, show, stale } from "./picture.js";
import { drawTexts, listen as listenPrompt, read } from "./prompt.js";
import { addSound, drawSound } from "./sound.js";
import { drawStages } from "./stages.js";
import { duration, number, state as stateName } from "./format.js";

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const PLOT_MS = 100;
const CALM_PLOT_MS = 1000;

const link = new Link();
const waiting = []; // never more than the server sends before one is acknowledged
let drawing = false;
let plotted = 0;
let latest = null;
let ended = false;
// Used by the tests: the number of frames drawn, and the time of the first.
window.drawn = { frames: 0, first: null };

link.addEventListener("frame", ({ detail }) => {
  addSound(detail.head, detail.pcm);
  read(detail.head);
  if (cameras.isLarge(detail.head)) {
    record(detail.head);
    latest = detail.head;
  }
  waiting.push(detail);
  if (!drawing) draw();
});

async function draw() {
  drawing = true;
  while (waiting.length) {
    const frame = waiting.shift();
    if (!document.hidden) await picture(frame);
    link.drawn(frame.head.frame);
    window.drawn.frames += 1;
    window.drawn.first ??= performance.now();
  }
  drawing = false;
}

async function picture(frame) {
  const bitmap = frame.jpeg ? await createImageBitmap(frame.jpeg) : null;
  cameras.draw(frame, bitmap);
  if (cameras.isLarge(frame.head)) await show(frame, bitmap);
  bitmap?.close();
}

// One timer for all plots, active only while there is new data and the page is visible.
function plot(now) {
  requestAnimationFrame(plot);
  if (!latest || now - plotted < (calm.matches ? CALM_PLOT_MS : PLOT_MS)) return;
  plotted = now;
  drawOutputs(latest);
  drawSound();
}

link.addEventListener("state", ({ detail: { run, page } }) => {
  mark(find("disconnected"), "hidden", "");
  ended = run.health === "ended";
  cameras.learn(run);
  stale(!page.paused && (run.idle_s === null || run.idle_s > 1 || cameras.isSilent(run)));
  learn(run);
  learnKinds(run);
  head(run, page);
  drawInputs(run);
  drawStages(run);
  drawEvents(run);
  drawMachine(run, page);
  drawTexts(page);
  drawControls(page);
});

function head(run, { paused }) {
  say(find("model"), run.model ? `${run.model} v${run.version}` : "mm-edge");
  document.title = run.model ? `${run.model} – mm-edge` : "mm-edge";
  const silent = run.idle_s !== null && run.idle_s > 1 && run.health !== "ended";
  mark(find("health"), "data-state", run.health);
  const status = silent ? `${stateName(run.health)}, no prediction for ${Math.floor(run.idle_s)} s` : describe(run);
  say(find("health"), paused && run.health === "ok" ? "Paused" : status);
  say(find("rate"), `${number(run.rate_hz)} /s`);
  say(find("latency"), run.stages.total ? `${number(run.stages.total.p50)} ms` : "–");
  say(find("latency-worst"), run.stages.total ? `${number(run.stages.total.p99)} ms` : "–");
  say(find("running"), duration(run.running_s));
}

function describe({ health, sources, inputs }) {
  if (health !== "degraded") return stateName(health);
  const bad = Object.entries(sources).filter(([, { state }]) => ["lost", "stale", "reconnecting", "refused"].includes(state)).map(([name, { state }]) => `${name} ${stateName(state)}`);
  const missing = Object.entries(inputs).filter(([, { state }]) => state === "missing").map(([name]) => `${name} missing`);
  return [stateName(health), ...(bad.length ? bad : missing)].join(", ");
}

link.addEventListener("disconnect", () => {
  stale(true);
  if (ended) return; // the run has ended normally
  mark(find("health"), "data-state", "disconnected");
  say(find("health"), "Disconnected");
  mark(find("disconnected"), "hidden", null);
  say(find("disconnected"), "Connection to the robot lost. The data shown is not current. Reconnecting…");
});

cameras.listen(link, () => { latest = null; forget(); });
listenControls(link);
listenPrompt(link);
link.open();
link.supervise();
requestAnimationFrame(plot);
