// The live prompt: entered here, used from the next prediction on, and confirmed once it is used.

import { find, keep, make, mark, say } from "./dom.js";

const box = find("prompt");
let requested = null;
let used = null;

export function listen(link) {
  find("prompt-form").addEventListener("submit", (event) => {
    event.preventDefault();
    set(link, box.value);
  });
  find("texts").addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    box.value = button.textContent;
    set(link, button.textContent);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") box.blur();
  });
}

function set(link, text) {
  requested = text.trim();
  if (!link.text(requested)) {
    say(find("prompt-state"), "Not sent: no connection.");
    requested = null;
  } else if (requested !== used) {
    say(find("prompt-state"), "Sent. Takes effect with the next prediction.");
  }
}

export function read({ text }) {
  const now = Object.values(text)[0];
  if (now === undefined || (now === used && requested === null)) return;
  if (now === requested || requested === null) {
    const mine = now === requested;
    requested = null;
    if (now !== used || mine) say(find("prompt-state"), `Prompt in use: “${now}”`);
    if (used === null && document.activeElement !== box) box.value = now;
    used = now;
  }
}

// A prompt from a file is shown but cannot be changed.
export function drawTexts({ texts, can_type: can }) {
  mark(find("text"), "hidden", can || texts.length ? null : "");
  mark(find("prompt-form"), "hidden", can ? null : "");
  const chips = keep(find("texts"), can ? texts : [], (text) => make("li", {}, make("button", { type: "button", text })));
  for (const chip of chips) mark(chip.firstChild, "aria-pressed", String(chip.dataset.key === used));
}
