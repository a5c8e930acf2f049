// Finds and makes elements. Text is only set as text content: data from a robot or a visitor is never markup.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Writes only changed text, so that nothing is laid out or announced twice.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// One child per key, in order; unchanged children are not touched.
export function keep(parent, keys, create) {
  const there = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  keys.forEach((key, place) => {
    let child = there.get(key);
    if (!child) {
      child = create(key);
      child.dataset.key = key;
    }
    there.delete(key);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  for (const child of there.values()) child.remove();
  return [...parent.children];
}

// A cleared canvas in device pixels, with its context scaled to CSS pixels. Its size is read only when it changes.
const sizes = new WeakMap();
const watcher = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) sizes.set(target, [contentRect.width, contentRect.height]);
});

export function surface(canvas, { clear = true } = {}) {
  if (!sizes.has(canvas)) {
    sizes.set(canvas, [canvas.clientWidth, canvas.clientHeight]);
    watcher.observe(canvas);
  }
  const [width, height] = sizes.get(canvas);
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const resized = canvas.width !== w || canvas.height !== h;
  if (resized) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  if (clear && !resized) context.clearRect(0, 0, width, height);
  return { context, width, height, resized };
}

// Whether any of the canvas is on screen: nothing invisible is drawn.
const inSight = new WeakMap();
const looker = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) inSight.set(target, isIntersecting);
});

export function seen(canvas) {
  if (!inSight.has(canvas)) {
    inSight.set(canvas, true);
    looker.observe(canvas);
  }
  return inSight.get(canvas);
}

let colours = null;
export function colour(name) {
  colours ??= getComputedStyle(document.documentElement);
  return colours.getPropertyValue(`--${name}`).trim();
}
export const forgetColours = () => { colours = null; };
