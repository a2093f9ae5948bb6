// @ts-check
/** @import { Color, Palette, Role } from "./types" */
import { contextOf } from "./canvas.js";

// Colours of the theme: read once, since reading forces a layout, and again when the theme may have changed.
let version = 0;
/** @type {Set<() => void>} */
export const themed = new Set();
let watching = false;
export function watchThemes() {
  if (watching) return;
  watching = true;
  const repaint = () => { version += 1; for (const view of themed) view(); };
  // JupyterLab hides the page while it loads a theme: what has no size is not painted, and is painted a little later.
  const change = () => { repaint(); setTimeout(repaint, 300); };
  const observer = new MutationObserver(change);
  observer.observe(document.documentElement, { attributes: true });
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  watchPixels();
}
/** Paint anew on another screen, and after a zoom: a picture may keep its size and need more pixels. */
function watchPixels() {
  const now = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
  now.addEventListener("change", () => { for (const view of themed) view(); watchPixels(); }, { once: true });
}
/** @type {(Role | "ground")[]} */
const ROLES = ["z", "x", "neg", "pos", "ink", "soft", "rule", "ground"];
/** @type {WeakMap<Element, { version: number, key: string, palette: Palette }>} */
const palettes = new WeakMap();
/** Return the colours in the page's theme; the same object as long as they stay.
 * @param {Element} root
 * @returns {Palette}
 */
export function paletteOf(root) {
  const known = palettes.get(root);
  if (known?.version === version) return known.palette;
  const style = getComputedStyle(root);
  /** @type {any} */
  const palette = { tint: Number(style.getPropertyValue("--tint")) || 0.5, font: style.fontFamily };
  const there = Boolean(style.getPropertyValue("--z")); // else not in the page yet
  const ctx = contextOf(new OffscreenCanvas(1, 1), { willReadFrequently: true });
  for (const role of ROLES) {
    ctx.clearRect(0, 0, 1, 1);
    ctx.fillStyle = style.getPropertyValue(`--${role}`).trim() || "#888";
    ctx.fillRect(0, 0, 1, 1);
    palette[role] = Array.from(ctx.getImageData(0, 0, 1, 1).data.slice(0, 3));
  }
  const key = JSON.stringify(palette);
  const kept = known?.key === key ? known.palette : palette;
  if (there) palettes.set(root, { version, key, palette: kept });
  return kept;
}
/** @param {Palette} palette  @param {{ color: Role, toward?: Role | "", shade?: number }} mark  @returns {Color} */
export function rgb(palette, { color, toward, shade }) {
  const from = palette[color] || palette.ink;
  if (!toward || !shade) return from;
  return from.map((v, i) => Math.round(v + (palette[toward][i] - v) * shade));
}
/** @param {Color} color */
export const css = ([r, g, b], alpha = 1) => `rgba(${r},${g},${b},${alpha})`;
