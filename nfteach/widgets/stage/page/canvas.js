// @ts-check

/**
 * @param {OffscreenCanvas} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 * @returns {OffscreenCanvasRenderingContext2D}
 */
export const contextOf = (canvas, settings) => /** @type {any} */ (canvas.getContext("2d", settings));

/**
 * Return the context of an empty canvas of this size.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.globalAlpha = 1;
  return ctx;
}

// The strength of cell k of n of a density, which dissolves at its own edge, too.
/** @type {(k: number, n: number) => number} */
export const soft = (k, n) => Math.min(1, (Math.min(k, n - 1 - k) + 0.5) / (0.06 * n));

export const DIM = 0.16; // of marks that are not lit
/** @type {(store: { lit: string[] | null }, links?: string[]) => boolean} */
export const faded = ({ lit }, links) => Boolean(lit && links?.length && !links.some((name) => lit.includes(name)));

/** @type {Map<string, number>} */
const measured = new Map();
/** @type {OffscreenCanvasRenderingContext2D | null} */
let ruler = null;
/** @type {(text: string, size: number, font: string) => number} */
export function measure(text, size, font) {
  const key = `${size} ${font} ${text}`;
  let width = measured.get(key);
  if (width === undefined) {
    ruler ||= contextOf(new OffscreenCanvas(1, 1));
    ruler.font = `italic 600 ${size}px ${font}`;
    measured.set(key, (width = ruler.measureText(text).width));
  }
  return width;
}
