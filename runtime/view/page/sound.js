// The audio input of the model: waveform and spectrogram of the last seconds.

import { colour, find, mark, seen, surface } from "./dom.js";

const SECONDS = 6;
const WINDOW = 512;
const BANDS = 56;
const FLOOR_DB = -75;
const LOWEST_HZ = 60;

const wave = find("wave");
const spectrum = find("spectrum");
let rate = 0;
let end = 0; // number of the next new sample of the stream
let columns = []; // one for each half window: its peak and its bands
let rest = new Float32Array(0);
let kept = null;

export function addSound({ sound }, pcm) {
  if (!sound) return;
  if (sound.rate !== rate) begin(sound.rate);
  mark(find("audio"), "hidden", null);
  const known = sound.end - pcm.length;
  if (sound.end < end) end = known; // the stream restarted
  const gap = Math.min(known - end, rate * SECONDS);
  if (end && gap > 0) take(new Float32Array(gap)); // missed samples are shown as silence
  const fresh = pcm.subarray(Math.max(0, end - known));
  end = sound.end;
  take(Float32Array.from(fresh, (v) => v / 32768));
}

function begin(newRate) {
  rate = newRate;
  end = 0;
  columns = [];
  rest = new Float32Array(0);
  kept = bands();
}

// Half windows: each column covers the previous one and its own.
const HOP = WINDOW / 2;
let last = new Float32Array(HOP);
function take(samples) {
  const all = new Float32Array(rest.length + samples.length);
  all.set(rest);
  all.set(samples, rest.length);
  let at = 0;
  for (; at + HOP <= all.length; at += HOP) {
    const hop = all.slice(at, at + HOP);
    columns.push({ peak: Math.max(...hop.map(Math.abs)), levels: levels(last, hop) });
    last = hop;
  }
  rest = all.slice(at);
  const most = Math.ceil((SECONDS * rate) / HOP);
  if (columns.length > most) columns.splice(0, columns.length - most);
}

const hann = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));

// For each band the first and last bin of the transform; all bands have the same width on a logarithmic scale.
function bands() {
  const top = rate / 2;
  const edge = (i) => LOWEST_HZ * (top / LOWEST_HZ) ** (i / BANDS);
  const bin = (hz) => Math.min(WINDOW / 2, Math.round((hz * WINDOW) / rate));
  return Array.from({ length: BANDS }, (_, i) => [bin(edge(i)), Math.max(bin(edge(i)) + 1, bin(edge(i + 1)))]);
}

function levels(before, now) {
  const re = new Float32Array(WINDOW);
  const im = new Float32Array(WINDOW);
  re.set(before);
  re.set(now, HOP);
  for (let i = 0; i < WINDOW; i += 1) re[i] *= hann[i];
  fourier(re, im);
  return kept.map(([from, to]) => {
    let power = 0;
    for (let bin = from; bin < to; bin += 1) power = Math.max(power, re[bin] ** 2 + im[bin] ** 2);
    const db = 10 * Math.log10(power / (WINDOW / 4) ** 2 + 1e-12);
    return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
  });
}

// In place, radix 2.
function fourier(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i += 1) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const step = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k += 1) {
      const [c, s] = [Math.cos(step * k), Math.sin(step * k)];
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const [x, y] = [re[j] * c - im[j] * s, re[j] * s + im[j] * c];
        [re[j], im[j]] = [re[i] - x, im[i] - y];
        [re[i], im[i]] = [re[i] + x, im[i] + y];
      }
    }
  }
}

export function drawSound() {
  if (!columns.length) return;
  const most = Math.ceil((SECONDS * rate) / HOP);
  if (seen(wave)) drawWave(most);
  if (seen(spectrum)) drawSpectrum(most);
}

function drawWave(most) {
  const { context, width, height } = surface(wave);
  const middle = height / 2;
  context.fillStyle = colour("line");
  context.fillRect(0, middle, width, 1);
  context.fillStyle = colour("accent");
  const step = width / most;
  columns.forEach(({ peak }, i) => {
    const tall = Math.max(1, peak * height);
    context.fillRect(width - (columns.length - i) * step, middle - tall / 2, Math.max(1, step - 0.5), tall);
  });
}

const paper = document.createElement("canvas");
function drawSpectrum(most) {
  const { context, width, height } = surface(spectrum);
  [paper.width, paper.height] = [most, BANDS];
  const pixels = new ImageData(most, BANDS);
  const [ground, ink] = [rgb(colour("ground")), rgb(colour("accent"))];
  const from = most - columns.length;
  columns.forEach(({ levels: column }, x) => column.forEach((level, band) => {
    const at = 4 * ((BANDS - 1 - band) * most + from + x);
    for (let c = 0; c < 3; c += 1) pixels.data[at + c] = ground[c] + (ink[c] - ground[c]) * level;
    pixels.data[at + 3] = 255;
  }));
  paper.getContext("2d").putImageData(pixels, 0, 0);
  context.fillStyle = colour("ground");
  context.fillRect(0, 0, width, height);
  context.drawImage(paper, 0, 0, width, height);
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
