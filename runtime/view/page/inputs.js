// Each input: what feeds it and how it is, its age, its rate, what was dropped. And what happened lately.

import { find, keep, make, mark, say } from "./dom.js";
import { ago, duration, number, state } from "./words.js";

export function drawInputs({ inputs, sources }) {
  const rows = keep(find("inputs"), Object.keys(inputs), (name) => make(
    "li", {},
    make("h3", {}, make("span", { text: name }), make("span", { class: "dot" })),
    make("p", { class: "from" }), make("dl", { class: "figures" }),
  ));
  for (const row of rows) {
    const input = inputs[row.dataset.key];
    const source = sources[input.name];
    const told = source && source.state !== "live" ? source.state : input.state === "missing" ? "missing" : source?.state ?? input.state;
    const dot = row.querySelector(".dot");
    mark(dot, "data-state", told);
    say(dot, told === "live" || told === "fresh" ? state("live") : state(told));
    const why = source && !["live", "ended"].includes(source.state) ? source.detail : "";
    say(row.querySelector(".from"), why || input.source || "nothing feeds it");
    figures(row.querySelector(".figures"), input);
  }
}

function figures(parent, { age_ms: age, rate_hz: rate, dropped, captured, state: used }) {
  const losses = Object.entries(dropped).filter(([, count]) => count);
  const told = {
    age: age ? `${long(age.last)}` : "–",
    "age p99": age ? long(age.p99) : "–",
    rate: rate ? `${number(rate)} /s` : "–",
    state: state(used),
    captured: captured === null ? "–" : String(captured),
    dropped: losses.length ? losses.map(([cause, count]) => `${count} ${cause}`).join(", ") : "none",
  };
  const parts = keep(parent, Object.keys(told), (word) => make("div", {}, make("dt", { text: word }), make("dd")));
  for (const part of parts) say(part.lastChild, told[part.dataset.key]);
}

const long = (ms) => (ms < 10_000 ? `${number(ms, 0)} ms` : duration(ms / 1000));

export function drawEvents({ events }) {
  const newest = [...events].reverse();
  const keys = newest.map((event) => `${event.source} ${event.state} ${event.t_ns}`);
  const rows = keep(find("events"), keys, () => make("li", {}, make("time"), make("span")));
  rows.forEach((row, i) => {
    const { ago_s: seconds, source, state: word, detail } = newest[i];
    say(row.firstChild, ago(seconds));
    mark(row.lastChild, "data-state", word);
    say(row.lastChild, `${source}: ${state(word)}${detail ? `. ${detail}` : ""}`);
  });
}

const SHOWN = ["machine", "engine", "version", "provider", "device", "precision", "compute", "driver", "depth", "workers"];
export function drawMachine({ engine: told }, { machine }) {
  const engine = { machine, ...told };
  const keys = SHOWN.filter((key) => key in engine);
  const rows = keep(find("machine"), keys, (key) => make("div", {}, make("dt", { text: key }), make("dd")));
  for (const row of rows) say(row.lastChild, plain(engine[row.dataset.key]));
}

// {"encode_image": "fp32", "fuse": "fp32"} is one word; what differs is told part by part.
function plain(value) {
  if (value === null || typeof value !== "object") return String(value);
  const words = Object.entries(value);
  const same = new Set(Object.values(value));
  return same.size === 1 ? String([...same][0]) : words.map(([part, word]) => `${part} ${word}`).join(", ");
}
