// @ts-check
// Marks that are painted on a canvas.
/** @import { Area, Arrows, Bars, Curves, Density, Dots, Frame, Mark, Numbers, Pair } from "./types" */
import { contextOf, strength } from "./canvas.js";
import { css, rgb } from "./theme.js";
import { clamp, linesOf } from "./values.js";

/** Paint a mark, if it is one that is painted.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Mark} mark
 * @param {string} name
 * @param {Frame} frame
 */
export function paintMark(ctx, mark, name, frame) {
  ctx.globalAlpha = strength(frame.lit, mark.links);
  switch (mark.kind) {
    case "Density": return paintDensity(ctx, mark, frame);
    case "Curves": return paintCurves(ctx, mark, frame);
    case "Area": return paintArea(ctx, mark, frame);
    case "Dots": return paintDots(ctx, mark, name, frame);
    case "Arrows": return paintArrows(ctx, mark, name, frame);
    case "Bars": return paintBars(ctx, mark, frame);
  }
}

/** Densities as bitmaps, each as long as it may be needed again. */
export class Bitmaps {
  constructor() {
    /** @type {Map<Numbers, { key: string, canvas: OffscreenCanvas }>} */
    this.held = new Map();
  }
  /**
   * @param {Numbers} values
   * @param {number[]} color
   * @param {number} tint
   * @param {number} room how many are kept
   */
  of(values, color, tint, room) {
    const key = `${color},${tint}`;
    const known = this.held.get(values);
    this.held.delete(values);
    let canvas = known?.canvas;
    if (!known && this.held.size >= room) {
      // To make a canvas takes longer than to fill it: the one that was used longest ago is used again.
      const [[oldest, { canvas: old }]] = this.held;
      this.held.delete(oldest);
      canvas = old;
    }
    const [rows, columns] = values.shape;
    if (canvas?.width !== columns || canvas.height !== rows) canvas = new OffscreenCanvas(columns, rows);
    this.held.set(values, { key, canvas });
    if (known?.key === key) return canvas;
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const word = color[0] | (color[1] << 8) | (color[2] << 16);
    // It dissolves at its own edge, too.
    const [across, down] = [columns, rows].map((n) => Float32Array.from({ length: n }, (_, k) => Math.min(1, (Math.min(k, n - 1 - k) + 0.5) / (0.06 * n))));
    for (let row = 0, k = 0; row < rows; row++) {
      const scale = tint * down[row];
      for (let column = 0, to = (rows - 1 - row) * columns; column < columns; column++, k++, to++) {
        pixels[to] = word | ((scale * across[column] * values.data[k] + 0.5) << 24);
      }
    }
    contextOf(canvas).putImageData(image, 0, 0);
    return canvas;
  }
}

/** @param {CanvasRenderingContext2D} ctx  @param {Density} mark  @param {Frame} frame */
function paintDensity(ctx, mark, frame) {
  const { map: [a, b, c, d], palette } = frame;
  const canvas = frame.bitmaps.of(mark.values, rgb(palette, mark), palette.tint, frame.room);
  const [left, right, bottom, top] = mark.extent;
  const alpha = ctx.globalAlpha;
  ctx.globalAlpha *= mark.fading ?? 1;
  ctx.drawImage(canvas, a * left + b, c * top + d, a * (right - left), c * (bottom - top));
  ctx.globalAlpha = alpha;
  if (mark.next) paintDensity(ctx, mark.next, frame);
}

/** Trace lines; what lies to one side of the frame, out of sight by `far` pixels, is left out.
 * @param {CanvasRenderingContext2D} ctx  @param {Numbers} points  @param {Frame} frame  @param {number} [far]
 */
function trace(ctx, points, { map: [a, b, c, d], W, H }, far = Infinity) {
  const { data, count, each } = linesOf(points);
  const [right, bottom] = [W + far, H + far];
  ctx.beginPath();
  for (let line = 0, i = 0; line < count; line++) {
    let x = a * data[i] + b;
    let y = c * data[i + 1] + d;
    i += 2;
    let here = false; // whether the pen is at x, y
    for (let k = 1; k < each; k++, i += 2) {
      const u = a * data[i] + b;
      const v = c * data[i + 1] + d;
      const unseen = (x < -far && u < -far) || (y < -far && v < -far) || (x > right && u > right) || (y > bottom && v > bottom);
      if (!unseen) {
        if (!here) ctx.moveTo(x, y);
        ctx.lineTo(u, v);
      }
      here = !unseen;
      x = u;
      y = v;
    }
  }
}
/** @param {CanvasRenderingContext2D} ctx  @param {Curves} mark  @param {Frame} frame */
function paintCurves(ctx, mark, frame) {
  const { palette } = frame;
  trace(ctx, mark.points, frame, mark.dash ? Infinity : 20 + mark.width); // dashes are counted from where a line begins
  ctx.strokeStyle = css(rgb(palette, mark));
  ctx.globalAlpha *= mark.alpha;
  ctx.lineWidth = mark.width;
  ctx.lineJoin = "round";
  if (mark.dash) ctx.setLineDash([3, 4]);
  ctx.stroke();
  if (mark.dash) ctx.setLineDash([]);
}
/** @param {CanvasRenderingContext2D} ctx  @param {Area} mark  @param {Frame} frame */
function paintArea(ctx, mark, frame) {
  const { palette } = frame;
  trace(ctx, mark.points, frame);
  ctx.fillStyle = css(rgb(palette, mark));
  ctx.globalAlpha *= mark.alpha;
  ctx.fill("evenodd");
}
/** @param {CanvasRenderingContext2D} ctx  @param {Dots} mark  @param {string} name  @param {Frame} frame */
function paintDots(ctx, mark, name, frame) {
  const { map: [a, b, c, d], palette } = frame;
  const { points: { data }, size } = mark;
  const color = css(rgb(palette, mark));
  ctx.globalAlpha *= mark.alpha;
  ctx.beginPath();
  for (let i = 0; i < data.length; i += 2) {
    let x = a * data[i] + b;
    let y = c * data[i + 1] + d;
    const label = mark.labels[i / 2];
    if (label !== undefined) {
      [x, y] = inside(ctx, x, y, color, frame);
      if (label) frame.words.push({ key: `${name}.${i}`, text: label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
      frame.obstacles.push([x, y, size + 2]);
    }
    ctx.moveTo(x + size, y);
    ctx.arc(x, y, size, 0, 7);
  }
  ctx.fillStyle = mark.ring ? css(palette.ground) : color;
  if (mark.front && !mark.ring) { ctx.strokeStyle = css(palette.ground); ctx.lineWidth = 3; ctx.stroke(); }
  ctx.fill();
  if (mark.ring) { ctx.strokeStyle = color; ctx.lineWidth = 2; ctx.stroke(); }
}
/** A place that leaves the frame is shown at its edge, by a wedge that points at it.
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} x
 * @param {number} y
 * @param {string} color
 * @param {Frame} frame
 * @returns {Pair}
 */
export function inside(ctx, x, y, color, { W, H }) {
  const pad = 14;
  const [px, py] = [clamp(x, pad, W - pad), clamp(y, pad, H - pad)];
  if (px === x && py === y) return [x, y];
  ctx.save();
  ctx.translate(px, py);
  ctx.rotate(Math.atan2(y - py, x - px));
  ctx.beginPath();
  ctx.moveTo(13, 0); ctx.lineTo(8, -4.5); ctx.lineTo(8, 4.5); ctx.closePath();
  ctx.fillStyle = color;
  ctx.fill();
  ctx.restore();
  ctx.beginPath();
  return [px, py];
}
/** @param {CanvasRenderingContext2D} ctx  @param {Arrows} mark  @param {string} name  @param {Frame} frame */
function paintArrows(ctx, mark, name, { map: [a, b, c, d], palette, words, obstacles }) {
  const color = css(rgb(palette, mark));
  const { tails: { data: from }, tips: { data: to } } = mark;
  for (let i = 0; i < from.length; i += 2) {
    const [x0, y0] = [a * from[i] + b, c * from[i + 1] + d];
    let [x1, y1] = [a * to[i] + b, c * to[i + 1] + d];
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (mark.label) words.push({ key: name, text: mark.label, x: x1, y: y1, color: mark.color, italic: true, size: 16, links: mark.links, toward: [x1 - x0, y1 - y0] });
    if (length < mark.gap + 3) continue;
    const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
    [x1, y1] = [x1 - ux * mark.gap, y1 - uy * mark.gap];
    for (let k = 0; k <= 8; k++) obstacles.push([x0 + ((x1 - x0) * k) / 8, y0 + ((y1 - y0) * k) / 8, 4]);
    const head = mark.head ? Math.min(9, length - mark.gap) : 0;
    /** @param {string} style  @param {number} width */
    const stroke = (style, width) => {
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1 - ux * head * 0.8, y1 - uy * head * 0.8);
      ctx.strokeStyle = style;
      ctx.lineWidth = width;
      ctx.stroke();
    };
    const alpha = ctx.globalAlpha;
    ctx.globalAlpha = 0.7 * alpha;
    stroke(css(palette.ground), mark.width + 3);
    ctx.globalAlpha = alpha;
    ctx.setLineDash(mark.dash ? [3, 3] : []);
    stroke(color, mark.width);
    ctx.setLineDash([]);
    if (!head) continue;
    const half = Math.max(4.5, mark.width * 1.6);
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x1 - ux * head - uy * half, y1 - uy * head + ux * half);
    ctx.lineTo(x1 - ux * head + uy * half, y1 - uy * head - ux * half);
    ctx.closePath();
    ctx.fillStyle = color;
    ctx.fill();
  }
}
/** @param {CanvasRenderingContext2D} ctx  @param {Bars} mark  @param {Frame} frame */
function paintBars(ctx, mark, { map: [a, b, c, d], palette }) {
  ctx.globalAlpha *= mark.alpha;
  for (let i = 0; i < mark.heights.data.length; i++) {
    const height = mark.heights.data[i];
    const [x0, x1] = [a * (mark.at.data[i] - mark.width / 2) + b, a * (mark.at.data[i] + mark.width / 2) + b];
    const [y0, y1] = [c * mark.base + d, c * height + d];
    ctx.fillStyle = css(mark.signed ? palette[height < mark.base ? "neg" : "pos"] : rgb(palette, mark));
    ctx.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  }
}
