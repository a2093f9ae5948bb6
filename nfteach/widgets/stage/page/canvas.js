// @ts-check

/**
 * @param {OffscreenCanvas} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 * @returns {OffscreenCanvasRenderingContext2D}
 */
export const contextOf = (canvas, settings) => /** @type {any} */ (canvas.getContext("2d", settings));

/**
 * Return the context of an empty canvas of this size in pixels of the page.
 * @param {HTMLCanvasElement | OffscreenCanvas} canvas
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

/** Draw a canvas onto another one of its size.
 * @param {CanvasImageSource} canvas
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} ctx
 */
export function copyOf(canvas, ctx) {
  const transform = ctx.getTransform();
  ctx.resetTransform();
  ctx.drawImage(canvas, 0, 0);
  ctx.setTransform(transform);
}

/** A canvas of the page that is painted outside of it: to set a font on one in the page makes the page lay itself out. */
export class Sheet {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.outside = new OffscreenCanvas(1, 1);
  }
  /** @param {number} width  @param {number} height */
  begin(width, height) { return sized(this.outside, width, height); }
  end() {
    const { canvas, outside } = this;
    copyOf(outside, sized(canvas, outside.width / devicePixelRatio, outside.height / devicePixelRatio));
  }
}

const DIM = 0.16; // of marks that are not lit
/** Return how strong a mark is: pale if others are lit.
 * @param {string[] | null} lit
 * @param {string[]} [links]
 */
export const strength = (lit, links) => (lit && links?.length && !links.some((name) => lit.includes(name)) ? DIM : 1);

/** @type {Map<string, Map<string, number>>} */
const measured = new Map();
/** @type {OffscreenCanvasRenderingContext2D | null} */
let ruler = null;
/** Return the width of a text in pixels.
 * @type {(text: string, size: number, font: string) => number}
 */
export function measure(text, size, font) {
  const look = `italic 600 ${size}px ${font}`;
  let known = measured.get(look);
  if (!known || known.size > 5000) measured.set(look, (known = new Map()));
  let width = known.get(text);
  if (width === undefined) {
    ruler ||= contextOf(new OffscreenCanvas(1, 1));
    ruler.font = look;
    known.set(text, (width = ruler.measureText(text).width));
  }
  return width;
}
