// @ts-check
/** @import { Store } from "./store.js" */
/** @import { Picture } from "./types" */
import { CALM, draw, element, put } from "./elements.js";
import { clamp } from "./values.js";

const ICONS = {
  previous: "M10.5 2.5 5 8l5.5 5.5 1.4-1.4L7.8 8l4.1-4.1z",
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  next: "M5.5 2.5 11 8l-5.5 5.5-1.4-1.4L8.2 8 4.1 3.9z",
};
/** Frames: play, one back, one on, and a slider; no kernel takes part in a step.
 * @param {Store} store
 * @param {Element} root
 */
export function frameControls(store, root) {
  const bar = element("div", { class: "nfteach-frames", role: "group" }, root);
  /** @param {Element} button  @param {keyof typeof ICONS} name */
  const icon = (button, name) => {
    button.replaceChildren();
    draw("path", { d: ICONS[name] }, draw("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, button));
    put(button, { title: name, "aria-label": name });
  };
  /** @param {keyof typeof ICONS} name  @param {() => void} action */
  const button = (name, action) => {
    const made = element("button", { type: "button", class: `nfteach-${name}` }, bar);
    icon(made, name);
    made.addEventListener("click", action);
    return made;
  };
  /** @type {{ from: number, began: number } | null} */
  let playing = null;
  let speed = 1;
  /** @type {Picture[] | null} */
  let known = null;
  const last = () => store.frames.length - 1;
  const stop = () => { if (!playing) return; playing = null; icon(play, "play"); };
  store.stop = stop;
  /** @param {number} by */
  const step = (by) => { stop(); store.go(store.aim + by); };
  button("previous", () => step(-1));
  const toggle = () => {
    if (playing) { stop(); return store.go(store.position, 100); }
    if (store.position >= last() - 1e-3) { store.gliding = null; store.position = 0; }
    icon(play, "pause");
    const mine = (playing = { from: Math.floor(store.position + 1e-3), began: performance.now() });
    const move = () => {
      if (playing !== mine) return;
      const each = clamp(7000 / last(), 220, 900) / speed;
      // Movement and rest: a flow is seen in steps.
      const t = (performance.now() - mine.began) / each;
      const part = CALM.matches ? Number(t >= 1) : clamp(t / 0.82, 0, 1);
      store.gliding = null;
      store.position = Math.min(mine.from + part * part * (3 - 2 * part), last());
      if (t >= 1) {
        mine.from += 1;
        mine.began = performance.now();
        store.position = Math.min(mine.from, last());
        store.keep(store.position);
      }
      store.tell();
      if (mine.from >= last()) stop();
      else requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  };
  const play = button("play", toggle);
  button("next", () => step(1));
  const slider = element("input", { type: "range", class: "nfteach-frame", min: 0, step: 1 }, bar);
  slider.addEventListener("input", () => { stop(); store.go(slider.valueAsNumber, 200); });
  const label = element("span", { class: "nfteach-frame-label", "aria-hidden": "true" }, bar);
  const fast = element("button", { type: "button", class: "nfteach-speed", title: "speed" }, bar);
  const tell = () => put(fast, { text: `${speed}\u00d7`, "aria-label": `speed ${speed} times` });
  fast.addEventListener("click", () => { speed = speed === 1 ? 2 : speed === 2 ? 0.5 : 1; tell(); });
  tell();
  return {
    refresh() {
      bar.hidden = store.frames.length < 2;
      if (bar.hidden) return;
      const index = store.aim;
      put(slider, { max: last() });
      if (slider.valueAsNumber !== index) slider.value = String(index);
      /** @param {number} k */
      const name = (k) => store.stops?.[k] ?? k;
      const words = `${store.step} ${name(index)} of ${name(last())}`;
      if (known !== store.frames) {
        // Room for the longest label, so that nothing beside it moves in a step.
        known = store.frames;
        const longest = Math.max(...store.frames.map((_, k) => `${store.step} ${name(k)} of ${name(last())}`.length));
        label.style.minWidth = `${longest}ch`;
      }
      put(slider, { "aria-label": store.step, "aria-valuetext": words });
      put(label, { text: words });
    },
    stop,
    start() { if (!playing && last() > 0) toggle(); },
  };
}
