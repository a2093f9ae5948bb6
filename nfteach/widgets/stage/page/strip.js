// @ts-check
// Bars, one a step, and the step that is shown.
/** @import { Stage } from "./part.js" */
/** @import { Strip } from "./types" */
import { draw, put } from "./elements.js";
import { PartView } from "./part.js";
import { scrub } from "./scrub.js";
import { clamp } from "./values.js";

/** @extends PartView<Strip> */
export class StripView extends PartView {
  /** @param {Stage} stage  @param {string} name  @param {Strip} node */
  constructor(stage, name, node) {
    super(stage, name, node, "nfteach-strip");
    this.key = "";
    this.n = this.left = 0;
    this.each = 1;
    /** @type {SVGElement[]} */
    this.bars = [];
    /** @type {SVGElement[]} */
    this.rings = [];
    /** @type {SVGElement[]} */
    this.names = [];
    /** @type {SVGElement | null} */
    this.done = null;
    /** @type {SVGElement | null} */
    this.knob = null;
    this.svg = draw("svg", { "aria-hidden": "true" }, this.box);
    // A click goes to the bar's own step, and to the start left of the first bar's first quarter.
    scrub(this.svg, this.store, (x) => this.place(x), (spot) => (spot < 0.25 ? 0 : Math.ceil(spot)));
  }
  inputs() { return [this.position]; }
  get position() { return this.store.frames.length ? this.store.position : 0; }
  /** @param {number} x */
  place(x) { return clamp((x - this.left) / this.each, 0, this.n); }
  /** @param {Strip} node */
  draw(node) {
    const width = this.sizes.of(this.box).width || node.width;
    const n = (this.n = node.values.shape[0]);
    const height = node.height - 18;
    const left = (this.left = node.first ? 18 : 8);
    const each = (this.each = (width - left - (node.last ? 18 : 8)) / n);
    const limit = node.limit || Math.max(1e-9, ...node.values.data.map(Math.abs), ...(node.dots ? node.dots.data.map(Math.abs) : []));
    const middle = height / 2 + 2;
    /** @param {number} v */
    const Y = (v) => middle - clamp(v / limit, -1, 1) * (height / 2 - 6);
    if (this.key !== `${n},${width}`) {
      this.key = `${n},${width}`;
      this.svg.replaceChildren();
      put(this.svg, { width, height: node.height });
      this.bars = Array.from({ length: n }, () => draw("rect", {}, this.svg));
      draw("line", { x1: left, x2: left + n * each, y1: middle, y2: middle, class: "nfteach-axis" }, this.svg);
      this.done = draw("line", { x1: left, y1: middle, y2: middle, class: "nfteach-done" }, this.svg);
      this.rings = Array.from({ length: n }, () => draw("path", { class: "nfteach-dot" }, this.svg));
      this.names = Array.from({ length: n + 2 }, () => draw("text", { y: node.height - 4, "text-anchor": "middle" }, this.svg));
      this.knob = draw("circle", { r: 8, cy: middle, class: "nfteach-knob" }, this.svg);
    }
    const { position } = this;
    const now = Math.round(position);
    for (let k = 0; k < n; k++) {
      const value = node.values.data[k];
      const [y0, y1] = [Math.min(middle, Y(value)), Math.max(middle, Y(value))];
      put(this.bars[k], { x: left + k * each + 0.06 * each, width: 0.88 * each, y: y0, height: Math.max(y1 - y0, 0.5), class: `nfteach-fill-${value < 0 ? "neg" : "pos"}`, opacity: k < position - 0.5 ? 0.75 : 0.28 });
      if (node.dots) {
        // A ring; beyond the strip's edge a wedge that points there.
        const far = Math.abs(node.dots.data[k]) > limit ? Math.sign(node.dots.data[k]) : 0;
        const shape = far ? `m-4 ${3 * far}l4 ${-7 * far}l4 ${7 * far}z` : "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z";
        put(this.rings[k], { d: `M${(left + (k + 0.5) * each).toFixed(1)} ${Y(node.dots.data[k]).toFixed(1)}${shape}` });
      }
      const many = n > 24 && (k + 1) % Math.ceil(n / 12);
      put(this.names[k], { x: left + (k + 0.5) * each, text: many ? "" : node.labels[k] ?? String(k + 1), class: `nfteach-tick${k + 1 === now ? " nfteach-here" : ""}` });
    }
    put(this.names[n], { x: 7, text: node.first, class: "nfteach-tick nfteach-z nfteach-m" });
    put(this.names[n + 1], { x: width - 8, text: node.last, class: "nfteach-tick nfteach-x nfteach-m" });
    if (this.done) put(this.done, { x2: left + position * each });
    if (this.knob) put(this.knob, { cx: left + position * each });
  }
}
