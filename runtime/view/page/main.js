// Brings it together: frames are drawn as they come, states four times a second, plots no more often than the eye needs.

import { listen as listenControls, drawControls } from "./controls.js";
import { decide, drawDecisions, learn as learnKinds } from "./decides.js";
import { find, mark, say } from "./dom.js";
import { drawEvents, drawInputs, drawMachine } from "./inputs.js";
import { Link } from "./link.js";
import { learn, show, stale } from "./picture.js";
import { drawTexts, listen as listenPrompt, read } from "./prompt.js";
import { drawSound, hear } from "./sound.js";
import { drawStages } from "./stages.js";
import { duration, number, state as inWords } from "./words.js";

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const PLOT_MS = 100;
const CALM_PLOT_MS = 1000;

const link = new Link();
let newest = null;
let drawing = false;
let plotted = 0;
let latest = null;
let ended = false;
// Read by the tests: how many frames were drawn, and when the first was.
window.drawn = { frames: 0, first: null };

link.addEventListener("frame", ({ detail }) => {
  hear(detail.head, detail.pcm);
  decide(detail.head);
  read(detail.head);
  latest = detail.head;
  newest = detail;
  if (!drawing) draw();
});

async function draw() {
  drawing = true;
  while (newest) {
    const frame = newest;
    newest = null;
    if (!document.hidden) await show(frame);
    link.drawn(frame.head.frame);
    window.drawn.frames += 1;
    window.drawn.first ??= performance.now();
  }
  drawing = false;
}

// One timer for all plots, and only while there is something new and somebody looks.
function plot(now) {
  requestAnimationFrame(plot);
  if (!latest || now - plotted < (calm.matches ? CALM_PLOT_MS : PLOT_MS)) return;
  plotted = now;
  drawDecisions(latest);
  drawSound();
}

link.addEventListener("state", ({ detail: { run, page } }) => {
  mark(find("cut"), "hidden", "");
  ended = run.health === "ended";
  stale(!page.paused && (run.idle_s === null || run.idle_s > 1));
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
  const well = silent ? `${inWords(run.health)}, no prediction for ${Math.floor(run.idle_s)} s` : why(run);
  say(find("health"), paused && run.health === "ok" ? "Paused" : well);
  say(find("rate"), `${number(run.rate_hz)} /s`);
  say(find("latency"), run.stages.total ? `${number(run.stages.total.p50)} ms` : "–");
  say(find("latency-worst"), run.stages.total ? `${number(run.stages.total.p99)} ms` : "–");
  say(find("running"), duration(run.running_s));
}

function why({ health, sources, inputs }) {
  if (health !== "degraded") return inWords(health);
  const bad = Object.entries(sources).filter(([, { state }]) => ["lost", "stale", "reconnecting"].includes(state)).map(([name, { state }]) => `${name} ${inWords(state)}`);
  const missing = Object.entries(inputs).filter(([, { state }]) => state === "missing").map(([name]) => `${name} missing`);
  return [inWords(health), ...(bad.length ? bad : missing)].join(", ");
}

link.addEventListener("cut", () => {
  stale(true);
  if (ended) return; // the robot said goodbye
  mark(find("health"), "data-state", "cut");
  say(find("health"), "Cut off");
  mark(find("cut"), "hidden", null);
  say(find("cut"), "The connection to the robot is cut. What is shown is old. Trying again.");
});

listenControls(link);
listenPrompt(link);
link.open();
link.watch();
requestAnimationFrame(plot);
