// @ts-check
// Plane and Chart.
/** @import { Stage } from "./part.js" */
/** @import { Frame, Handle, Label, Mark, Pair, Plane } from "./types" */
import { contextOf, copyOf, sized, strength } from "./canvas.js";
import { draw, element, focusOn, put, say } from "./elements.js";
import { Bitmaps, inside, paintMark } from "./marks.js";
import { PartView, differ } from "./part.js";
import { scrub } from "./scrub.js";
import { css, rgb } from "./theme.js";
import { clamp, written } from "./values.js";
import { Words } from "./words.js";

/** @type {Record<string, Pair>} */
const BY = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const FADE = 28; // pixels in which the picture dissolves at its edge

/** @typedef {SVGGElement & { mark: Handle, spot: Pair, words: SVGTitleElement }} Grip */

/** Wedges at the frame's edge, and what has a name, must not dissolve with it.
 * @param {Mark} mark
 */
const clear = (mark) => ["Arrows", "Handle", "Label"].includes(mark.kind) || mark.front || Boolean(mark.labels?.length) || mark.fade === false;

/** @extends PartView<Plane> */
export class PlaneView extends PartView {
  /** @param {Stage} stage  @param {string} name  @param {Plane} node */
  constructor(stage, name, node) {
    super(stage, name, node, "");
    this.pic = element("div", { class: "nfteach-pic" }, this.box);
    const [back, front] = (this.canvases = ["", " nfteach-front"].map((look) => element("canvas", { class: `nfteach-canvas${look}`, "aria-hidden": "true" }, this.pic)));
    this.back = back;
    this.front = front;
    this.svg = draw("svg", { role: "group" }, this.pic);
    this.tickLayer = draw("g", {}, this.svg);
    this.words = new Words(draw("g", {}, this.svg));
    this.handleLayer = draw("g", {}, this.svg);
    /** @type {Map<string, Grip>} */
    this.handles = new Map();
    /** @type {{ name: string, dx: number, dy: number } | null} */
    this.held = null;
    this.bitmaps = new Bitmaps();
    this.W = this.H = 0;
    this.map = [1, 0, 1, 0];
    this.ticked = "";
    this.copy = new OffscreenCanvas(1, 1);
    this.copied = 0; // marks in the copy
    /** @type {Mark[]} */
    this.behind = []; // as it was painted
    /** @type {any[]} */
    this.setting = [];
    scrub(this.svg, this.store, (x) => this.along(x));
  }
  get frame() { return this.pic; }
  /** Data to pixels.
   * @param {Plane} node
   */
  fit({ x: [x0, x1], y: [y0, y1], equal, xlabel, yticks, ticks }) {
    const { width: W, height: H } = this.sizes.of(this.pic);
    Object.assign(this, { W, H });
    if (equal) {
      const scale = Math.min(W / (x1 - x0), H / (y1 - y0));
      this.map = [scale, W / 2 - (scale * (x0 + x1)) / 2, -scale, H / 2 + (scale * (y0 + y1)) / 2];
      return;
    }
    const [left, bottom] = [yticks?.length ? 34 : 8, ticks.length || xlabel ? 20 : 4];
    const [ax, ay] = [(W - left - 10) / (x1 - x0), -(H - bottom - 10) / (y1 - y0)];
    this.map = [ax, left - ax * x0, ay, 10 - ay * y1];
  }
  /** @param {number} x */
  X(x) { return this.map[0] * x + this.map[1]; }
  /** @param {number} y */
  Y(y) { return this.map[2] * y + this.map[3]; }
  /** Where among the frames a chart's x in pixels stands; null where it has no steps.
   * @param {number} px
   */
  along(px) {
    const { steps } = this.node;
    if (!steps?.length) return null;
    const x = this.at(px, 0)[0];
    const k = steps.findLastIndex((step) => step <= x);
    return k < 0 ? 0 : k + 1 >= steps.length ? steps.length - 1 : k + (x - steps[k]) / (steps[k + 1] - steps[k]);
  }
  /** @param {number} px  @param {number} py  @returns {Pair} */
  at(px, py) { return [(px - this.map[1]) / this.map[0], (py - this.map[3]) / this.map[2]]; }

  /** @param {Plane} node  @param {[string, Mark][]} marks */
  draw(node, marks) {
    this.svg.classList.toggle("nfteach-scrubs", Boolean(node.steps?.length));
    this.fit(node);
    if (!this.W || !this.H) return;
    const { palette, store: { lit, frames } } = this;
    /** @type {Frame} */
    const frame = { map: this.map, W: this.W, H: this.H, palette, lit, words: [], obstacles: [], bitmaps: this.bitmaps, room: 3 + Math.min(frames.length, 40) };
    const seen = marks.filter(([, mark]) => mark.visible);
    const behind = seen.filter(([, mark]) => !clear(mark));
    this.paintBack(behind, frame, node.fade);
    const ctx = sized(this.front, this.W, this.H);
    const taken = new Set();
    for (const [name, mark] of seen) {
      if (mark.kind === "Label") this.label(mark, name, frame);
      else if (mark.kind === "Handle") { taken.add(name); this.grip(ctx, mark, name, frame); }
      else if (clear(mark)) paintMark(ctx, mark, name, frame);
    }
    this.ticks(node);
    this.words.place(frame);
    for (const [name, handle] of this.handles) if (!taken.has(name)) { handle.remove(); this.handles.delete(name); }
  }
  /** Paint what stands behind. Marks that come first and rest while others move are painted once, and copied from then on.
   * @param {[string, Mark][]} behind
   * @param {Frame} frame
   * @param {boolean} fade
   */
  paintBack(behind, frame, fade) {
    const { map, W, H, palette, lit } = frame;
    const setting = [...map, W, H, devicePixelRatio, palette, lit, fade];
    const marks = behind.map(([, mark]) => mark);
    const same = !differ(setting, this.setting);
    if (same && !differ(marks, this.behind)) return;
    const moved = marks.findIndex((mark, k) => mark !== this.behind[k]);
    const still = same ? moved < 0 ? marks.length : moved : 0;
    const ctx = sized(this.back, W, H);
    const begin = still === this.copied ? still : 0;
    if (begin) copyOf(this.copy, ctx);
    for (let k = begin; k < marks.length; k++) {
      paintMark(ctx, marks[k], behind[k][0], frame);
      if (k + 1 !== still) continue;
      Object.assign(this.copy, { width: this.back.width, height: this.back.height });
      copyOf(this.back, contextOf(this.copy));
    }
    if (fade) this.fade(ctx);
    [this.setting, this.behind, this.copied] = [setting, marks, still];
  }
  /** Let the picture dissolve at its edge.
   * @param {CanvasRenderingContext2D} ctx
   */
  fade(ctx) {
    const { W, H } = this;
    ctx.globalAlpha = 1;
    ctx.globalCompositeOperation = "destination-out";
    for (const [x, y, w, h, ...ends] of [[0, 0, FADE, H, 0, 0, FADE, 0], [W - FADE, 0, FADE, H, W, 0, W - FADE, 0], [0, 0, W, FADE, 0, 0, 0, FADE], [0, H - FADE, W, FADE, 0, H, 0, H - FADE]]) {
      const gradient = ctx.createLinearGradient(...(/** @type {[number, number, number, number]} */ (ends)));
      gradient.addColorStop(0, "#000");
      gradient.addColorStop(1, "#0000");
      ctx.fillStyle = gradient;
      ctx.fillRect(x, y, w, h);
    }
    ctx.globalCompositeOperation = "source-over";
  }
  /** @param {Label} mark  @param {string} name  @param {Frame} frame */
  label({ at, text, color, italic, size, angle, lift, shift, anchor, links }, name, { words }) {
    words.push({ key: name, text, x: this.X(at.data[0]), y: this.Y(at.data[1]), color, italic, size, angle, lift, shift, anchor, still: true, links });
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Handle} mark  @param {string} name  @param {Frame} frame */
  grip(ctx, mark, name, frame) {
    const opacity = (ctx.globalAlpha = strength(frame.lit, mark.links));
    const [x, y] = inside(ctx, this.X(mark.at.data[0]), this.Y(mark.at.data[1]), css(rgb(this.palette, mark)), frame);
    let handle = this.handles.get(name);
    if (!handle) this.handles.set(name, (handle = this.handle(name, mark)));
    handle.mark = mark;
    handle.spot = [x, y];
    const live = this.store.gestures.heard;
    const turn = mark.shape === "grip" ? ` rotate(${-mark.angle})` : "";
    put(handle, {
      class: `nfteach-handle nfteach-${mark.color} nfteach-${mark.shape}${this.held?.name === name ? " nfteach-held" : ""}${live ? "" : " nfteach-dead"}`,
      transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})${turn}`,
      "aria-label": `${mark.label || name}: ${mark.help || "drag, or use the arrow keys"}`,
      opacity,
    });
    say(handle, () => ({ "aria-valuetext": mark.value || `${written(mark.at.data[0])}, ${written(mark.at.data[1])}` }));
    put(handle.words, { text: mark.help || "" });
    frame.obstacles.push([x, y, 10]);
    if (mark.label) frame.words.push({ key: `${name}.name`, text: mark.label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
  }
  /** @param {string} name  @param {Handle} mark  @returns {Grip} */
  handle(name, mark) {
    const made = draw("g", { tabindex: 0, role: "slider", "aria-valuenow": 0 }, this.handleLayer);
    const g = Object.assign(made, { mark, spot: /** @type {Pair} */ ([0, 0]), words: draw("title", {}, made) });
    draw("circle", { class: "nfteach-hit", r: 22 }, g);
    draw("circle", { class: "nfteach-focus", r: 14 }, g);
    draw("circle", { class: "nfteach-shape", r: 7 }, g);
    draw("rect", { class: "nfteach-shape", x: -9, y: -5, width: 18, height: 10, rx: 5 }, g);
    /** @param {PointerEvent} event */
    const spot = (event) => {
      const box = this.pic.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    /** @param {number} px  @param {number} py */
    const send = (px, py) => this.store.gesture(name, this.at(clamp(px, 0, this.W), clamp(py, 0, this.H)));
    g.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      focusOn(g);
      g.setPointerCapture(event.pointerId);
      const [x, y] = spot(event);
      this.held = { name, dx: g.spot[0] - x, dy: g.spot[1] - y };
      this.store.held = [...g.mark.links]; // another list each time: the handle looks otherwise while it is held
      this.store.tell();
    });
    g.addEventListener("pointermove", (event) => {
      if (!this.held || this.held.name !== name || !g.hasPointerCapture(event.pointerId)) return;
      const [x, y] = spot(event);
      send(x + this.held.dx, y + this.held.dy);
    });
    g.addEventListener("lostpointercapture", () => { this.held = null; this.store.held = []; this.store.tell(); });
    g.addEventListener("keydown", (event) => {
      const by = BY[event.key];
      if (!by) return;
      event.preventDefault();
      const step = g.mark.step * (event.shiftKey ? 5 : 1);
      this.store.gesture(name, [g.mark.at.data[0] + by[0] * step, g.mark.at.data[1] + by[1] * step]);
    });
    return g;
  }
  /** @param {Plane} node */
  ticks(node) {
    /** @type {[number, number, string, string, boolean?][]} */
    const wanted = [];
    const [x0, x1] = node.x;
    const [y0, y1] = node.y;
    if (node.equal) {
      for (const v of node.ticks) {
        wanted.push([this.X(v), this.H - 4, written(v, v % 1 ? 1 : 0), "middle"], [2, this.Y(v) + 4, written(v, v % 1 ? 1 : 0), "start"]);
      }
      if (node.xlabel) wanted.push([this.W - 6, this.H - 4, node.xlabel, "end", true]);
      if (node.ylabel) wanted.push([2, 14, node.ylabel, "start", true]);
    } else {
      for (const v of node.ticks) if (v >= x0 && v <= x1) wanted.push([this.X(v), this.H - 4, written(v, v % 1 ? 1 : 0), "middle"]);
      for (const v of node.yticks || []) if (v >= y0 && v <= y1) wanted.push([this.X(x0) - 6, this.Y(v) + 4, written(v, v % 1 ? (Math.abs(v * 10 - Math.round(v * 10)) > 1e-6 ? 2 : 1) : 0), "end"]);
      if (node.xlabel) wanted.push([this.W - 6, this.H - 4, node.xlabel, "end", true]);
      if (node.ylabel) wanted.push([2, 9, node.ylabel, "start", true]);
    }
    const key = JSON.stringify([wanted, this.W, this.H, node.axis]);
    if (this.ticked === key) return;
    this.ticked = key;
    this.tickLayer.replaceChildren();
    if (node.axis) draw("line", { x1: this.X(x0), x2: this.X(x1), y1: this.Y(Math.max(y0, Math.min(0, y1))), y2: this.Y(Math.max(y0, Math.min(0, y1))), class: "nfteach-axis" }, this.tickLayer);
    for (const [x, y, text, anchor, named] of wanted) {
      draw("text", { x, y, text, "text-anchor": anchor, class: named ? "nfteach-axis-name" : "nfteach-tick" }, this.tickLayer);
    }
  }
}
