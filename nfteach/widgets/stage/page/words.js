// @ts-check
/** @import { Frame, Word } from "./types" */
import { measure, strength } from "./canvas.js";
import { draw, put } from "./elements.js";
import { clamp } from "./values.js";

/** Names stand beside their things, where they cover nothing; each stays where it was unless it has to move. */
export class Words {
  /** @param {SVGElement} layer */
  constructor(layer) {
    this.layer = layer;
    /** @type {Map<string, SVGTextElement>} */
    this.shown = new Map();
    /** @type {Map<string, number>} */
    this.turns = new Map();
  }
  /** @param {Frame} frame */
  place({ map, W, H, palette, lit, words, obstacles }) {
    /** @type {number[][]} */
    const boxes = [];
    for (const one of words) {
      const width = measure(one.text, one.size, palette.font) + 4;
      const height = one.size + 4;
      const { lift = 0, shift = 0 } = one;
      let { x, y } = one;
      const ahead = one.anchor === "start" ? width / 2 - 2 : one.anchor === "end" ? 2 - width / 2 : 0; // from its place to its middle
      if (!one.still) [x, y] = this.beside(one, width, height, { W, H, obstacles }, boxes);
      else if (one.angle === null) [x, y] = [clamp(x + shift + ahead, width / 2, W - width / 2), clamp(y, height / 2, H - height / 2)];
      boxes.push([x - width / 2, y - height / 2, x + width / 2, y + height / 2]);
      let word = this.shown.get(one.key);
      if (!word) this.shown.set(one.key, (word = draw("text", { "text-anchor": "middle", "dominant-baseline": "central" }, this.layer)));
      const turned = typeof one.angle === "number" ? ` rotate(${readable(one.angle, map)})` : "";
      put(word, {
        text: one.text, class: `nfteach-word nfteach-${one.color}${one.italic ? " nfteach-m" : ""}`, style: `font-size:${one.size}px`,
        x: turned ? shift + ahead : 0, y: one.still ? -lift : 0,
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})${turned}`, opacity: strength(lit, one.links),
      });
    }
    if (this.shown.size === words.length) return;
    const keys = new Set(words.map((one) => one.key));
    for (const [key, word] of this.shown) if (!keys.has(key)) { word.remove(); this.shown.delete(key); }
  }
  /** Return the middle of a word beside its thing.
   * @param {Word} one
   * @param {number} width
   * @param {number} height
   * @param {Pick<Frame, "W" | "H" | "obstacles">} frame
   * @param {number[][]} boxes
   */
  beside(one, width, height, { W, H, obstacles }, boxes) {
    const away = one.toward ? Math.atan2(one.toward[1], one.toward[0]) : -0.7;
    const before = this.turns.get(one.key);
    const best = { cost: Infinity, turn: 0, x: 0, y: 0 };
    // Each further turn costs 0.02 more, whatever else it costs.
    for (let k = 0; k < 12 && best.cost > 0.02 * k; k++) {
      const turn = away + (k % 2 ? 1 : -1) * Math.ceil(k / 2) * (Math.PI / 6);
      const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
      const far = 14 + Math.abs(cos) * (width / 2) + Math.abs(sin) * (height / 2 - 2);
      const [x, y] = [one.x + far * cos, one.y + far * sin];
      const [left, top, right, bottom] = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
      let cost = 0.02 * k + (before !== undefined && Math.abs(Math.cos(turn - before) - 1) > 0.02 ? 0.3 : 0);
      cost += 4 * (Number(left < 0) + Number(top < 0) + Number(right > W) + Number(bottom > H));
      for (const [ox, oy, r] of obstacles) if (ox + r > left && ox - r < right && oy + r > top && oy - r < bottom) cost += 1;
      for (const other of boxes) if (left < other[2] && right > other[0] && top < other[3] && bottom > other[1]) cost += 6;
      if (cost < best.cost) Object.assign(best, { cost, turn, x, y });
    }
    this.turns.set(one.key, best.turn);
    return [best.x, best.y];
  }
}

/** An angle of the data in degrees -> that of the text, which never stands on its head.
 * @param {number} angle
 * @param {number[]} map
 */
function readable(angle, [a, , c]) {
  const turn = (angle * Math.PI) / 180;
  const degrees = (Math.atan2(c * Math.sin(turn), a * Math.cos(turn)) * 180) / Math.PI;
  return (degrees > 90 ? degrees - 180 : degrees < -90 ? degrees + 180 : degrees).toFixed(1);
}
