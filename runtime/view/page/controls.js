// Buttons and keys: light or dark theme, and pause and step for file playback.

import { find, forgetColours, mark, say } from "./dom.js";

const root = document.documentElement;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let chosen = null;

function paint() {
  const theme = chosen ?? (dark.matches ? "dark" : "light");
  root.dataset.theme = theme;
  say(find("theme"), theme === "dark" ? "Light" : "Dark");
  forgetColours();
}

function toggleTheme() {
  chosen = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", chosen); } catch { /* without storage the choice lasts until the page is closed */ }
  paint();
}

export function listen(link) {
  try { chosen = localStorage.getItem("theme"); } catch { chosen = null; }
  dark.addEventListener("change", paint);
  paint();
  const pause = () => link.play(find("pause").textContent === "Pause" ? "pause" : "resume");
  const step = () => link.play("step");
  find("theme").addEventListener("click", toggleTheme);
  find("pause").addEventListener("click", pause);
  find("step").addEventListener("click", step);
  const keys = { "/": () => find("prompt").focus(), t: toggleTheme, " ": () => !find("pause").hidden && pause(), ".": () => !find("step").hidden && step() };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input, button, a, textarea, select") && event.key === " ";
    if (event.target.closest("input, textarea") || busy || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

export function drawControls({ paused }) {
  const file = paused !== null;
  mark(find("pause"), "hidden", file ? null : "");
  mark(find("play-keys"), "hidden", file ? null : "");
  say(find("pause"), paused ? "Resume" : "Pause");
  mark(find("step"), "hidden", paused ? null : "");
}
