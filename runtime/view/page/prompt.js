// The live prompt: typed here, used by the model's next prediction, and said to be so once it was.

import { find, keep, make, mark, say } from "./dom.js";

const box = find("prompt");
let asked = null;
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
  asked = text.trim();
  if (!link.text(asked)) {
    say(find("prompt-state"), "Not sent: the connection is cut.");
    asked = null;
  } else if (asked !== used) {
    say(find("prompt-state"), "Sent; the next prediction uses it.");
  }
}

export function read({ text }) {
  const now = Object.values(text)[0];
  if (now === undefined || (now === used && asked === null)) return;
  if (now === asked || asked === null) {
    const mine = now === asked;
    asked = null;
    if (now !== used || mine) say(find("prompt-state"), `The model reads “${now}”.`);
    if (used === null && document.activeElement !== box) box.value = now;
    used = now;
  }
}

// A prompt that comes from a file is shown and cannot be changed.
export function drawTexts({ texts, can_type: can }) {
  mark(find("reads"), "hidden", can || texts.length ? null : "");
  mark(find("prompt-form"), "hidden", can ? null : "");
  const chips = keep(find("texts"), can ? texts : [], (text) => make("li", {}, make("button", { type: "button", text })));
  for (const chip of chips) mark(chip.firstChild, "aria-pressed", String(chip.dataset.key === used));
}
