// @ts-check
// Plane and Chart.
/** @import { Store } from "./store.js" */
/** @import { Area, Arrows, Bars, Curves, Density, Dots, Handle, Label, Mark, Numbers, Pair, Plane, Role } from "./types" */
import { DIM, contextOf, faded, measure, sized, soft } from "./canvas.js";
import { draw, element, focusOn, put } from "./elements.js";
import { scrub } from "./scrub.js";
import { css, paletteOf, rgb } from "./theme.js";
import { clamp, linesOf, written } from "./values.js";

/** @type {Record<string, Pair>} */
const BY = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * @typedef {{ key: string, text: string, x: number, y: number, color: Role, italic: boolean, size: number, links: string[], toward?: Pair,
 *   still?: boolean, angle?: number | null, lift?: number, shift?: number, anchor?: string }} Word
 * @typedef {SVGGElement & { mark: Handle, spot: Pair, words: SVGTitleElement }} Grip
 */

export class PlaneView {
  /** @param {Store} store  @param {string} _  @param {HTMLElement} root */
  constructor(store, _, root) {
    this.store = store;
    this.root = root;
    this.W = this.H = 0;
    /** @type {number[]} */
    this.map = [1, 0, 1, 0];
    /** @type {number[] | undefined} */
    this.steps = [];
    /** @type {[number, number, number][]} */
    this.obstacles = [];
    /** @type {Word[]} */
    this.labels = [];
    /** @type {Set<string>} */
    this.taken = new Set();
    /** @type {Map<string, number>} */
    this.turns = new Map();
    this.ticked = "";
    /** @type {Map<Numbers, { key: string, canvas: OffscreenCanvas }>} */
    this.images = new Map();
    this.palette = paletteOf(root);
    this.box = element("div", { class: "nfteach-part" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.pic = element("div", { class: "nfteach-pic" }, this.box);
    this.back = element("canvas", { class: "nfteach-canvas", "aria-hidden": "true" }, this.pic);
    this.front = element("canvas", { class: "nfteach-canvas nfteach-front", "aria-hidden": "true" }, this.pic);
    this.svg = draw("svg", { role: "group" }, this.pic);
    this.layers = { ticks: draw("g", {}, this.svg), words: draw("g", {}, this.svg), handles: draw("g", {}, this.svg) };
    /** @type {Map<string, Grip>} */
    this.handles = new Map();
    /** @type {Map<string, SVGTextElement>} */
    this.words = new Map();
    /** @type {{ name: string, dx: number, dy: number } | null} */
    this.held = null;
    scrub(this.svg, store, (x) => this.along(x));
  }
  /** Data to pixels.
   * @param {Plane} node
   */
  fit({ x: [x0, x1], y: [y0, y1], equal, xlabel, yticks, ticks }) {
    const [W, H] = ([this.W, this.H] = [this.pic.clientWidth, this.pic.clientHeight]);
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
    const steps = this.steps;
    if (!steps?.length) return null;
    const x = this.at(px, 0)[0];
    const k = steps.findLastIndex((step) => step <= x);
    return k < 0 ? 0 : k + 1 >= steps.length ? steps.length - 1 : k + (x - steps[k]) / (steps[k + 1] - steps[k]);
  }
  /** @param {number} px  @param {number} py  @returns {Pair} */
  at(px, py) { return [(px - this.map[1]) / this.map[0], (py - this.map[3]) / this.map[2]]; }

  /** @param {Plane} node  @param {[string, Mark][]} marks */
  draw(node, marks) {
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    this.box.style.setProperty("--h", `${node.height}px`);
    this.box.style.setProperty("--ratio", String(node.width / node.height));
    this.back.classList.toggle("nfteach-fades", node.fade);
    this.steps = node.steps;
    this.svg.classList.toggle("nfteach-scrubs", Boolean(node.steps?.length));
    this.fit(node);
    if (!this.W || !this.H) return;
    this.palette = paletteOf(this.root);
    const [back, front] = [sized(this.back, this.W, this.H), sized(this.front, this.W, this.H)];
    this.obstacles = [];
    this.labels = [];
    this.taken = new Set();
    for (const [name, mark] of marks) {
      if (!mark.visible) continue;
      // Wedges at the frame's edge must not dissolve with it.
      const clear = mark.kind === "Arrows" || mark.kind === "Handle" || mark.front || mark.labels?.length || mark.fade === false;
      const ctx = clear ? front : back;
      ctx.save();
      ctx.globalAlpha = faded(this.store, mark.links) ? DIM : 1;
      this.paint(ctx, mark, name);
      ctx.restore();
    }
    this.ticks(node);
    this.place();
    for (const [name, handle] of this.handles) if (!this.taken.has(name)) { handle.remove(); this.handles.delete(name); }
    this.front.dataset.seq = this.back.dataset.seq = String(this.store.seq);
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Mark} mark  @param {string} name */
  paint(ctx, mark, name) {
    switch (mark.kind) {
      case "Density": return this.drawDensity(ctx, mark);
      case "Curves": return this.drawCurves(ctx, mark);
      case "Area": return this.drawArea(ctx, mark);
      case "Dots": return this.drawDots(ctx, mark, name);
      case "Arrows": return this.drawArrows(ctx, mark, name);
      case "Bars": return this.drawBars(ctx, mark);
      case "Label": return this.drawLabel(mark, name);
      case "Handle": return this.drawHandle(ctx, mark, name);
    }
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Density} mark */
  drawDensity(ctx, mark) {
    const [rows, columns] = mark.values.shape;
    const image = this.images.get(mark.values);
    const color = rgb(this.palette, mark);
    const key = `${color},${this.palette.tint}`;
    let canvas = image?.key === key ? image.canvas : null;
    if (!canvas) {
      if (this.images.size > 40) this.images.clear();
      canvas = new OffscreenCanvas(columns, rows);
      const pixels = new ImageData(columns, rows);
      const words = new Uint32Array(pixels.data.buffer);
      const word = color[0] | (color[1] << 8) | (color[2] << 16);
      const { data } = mark.values;
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const alpha = Math.round(this.palette.tint * data[row * columns + column] * soft(row, rows) * soft(column, columns));
          words[(rows - 1 - row) * columns + column] = (word | (alpha << 24)) >>> 0;
        }
      }
      contextOf(canvas).putImageData(pixels, 0, 0);
      this.images.set(mark.values, { key, canvas });
    }
    const [left, right, bottom, top] = mark.extent;
    const alpha = ctx.globalAlpha;
    ctx.globalAlpha *= mark.fading ?? 1;
    ctx.imageSmoothingEnabled = true;
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(canvas, this.X(left), this.Y(top), this.X(right) - this.X(left), this.Y(bottom) - this.Y(top));
    if (mark.next) {
      ctx.globalAlpha = alpha;
      this.drawDensity(ctx, mark.next);
    }
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {ReturnType<typeof linesOf>} lines */
  trace(ctx, { data, count, each }) {
    const [a, b, c, d] = this.map;
    ctx.beginPath();
    for (let line = 0, i = 0; line < count; line++) {
      ctx.moveTo(a * data[i] + b, c * data[i + 1] + d);
      i += 2;
      for (let k = 1; k < each; k++, i += 2) ctx.lineTo(a * data[i] + b, c * data[i + 1] + d);
    }
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Curves} mark */
  drawCurves(ctx, mark) {
    this.trace(ctx, linesOf(mark.points));
    ctx.strokeStyle = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.lineWidth = mark.width;
    ctx.lineJoin = "round";
    ctx.setLineDash(mark.dash ? [3, 4] : []);
    ctx.stroke();
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Area} mark */
  drawArea(ctx, mark) {
    this.trace(ctx, linesOf(mark.points));
    ctx.fillStyle = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.fill("evenodd");
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Dots} mark  @param {string} name */
  drawDots(ctx, mark, name) {
    const { data } = mark.points;
    const [a, b, c, d] = this.map;
    const color = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.beginPath();
    for (let i = 0; i < data.length; i += 2) {
      let [x, y] = [a * data[i] + b, c * data[i + 1] + d];
      const label = mark.labels[i / 2];
      if (label !== undefined) {
        [x, y] = this.inside(ctx, x, y, color);
        if (label) this.labels.push({ key: `${name}.${i}`, text: label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
        this.obstacles.push([x, y, mark.size + 2]);
      }
      ctx.moveTo(x + mark.size, y);
      ctx.arc(x, y, mark.size, 0, 7);
    }
    ctx.fillStyle = mark.ring ? css(this.palette.ground) : color;
    if (mark.front && !mark.ring) { ctx.strokeStyle = css(this.palette.ground); ctx.lineWidth = 3; ctx.stroke(); }
    ctx.fill();
    if (mark.ring) { ctx.strokeStyle = color; ctx.lineWidth = 2; ctx.stroke(); }
  }
  /** A place that leaves the frame is shown at its edge, by a wedge that points at it.
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} x
   * @param {number} y
   * @param {string} color
   * @returns {Pair}
   */
  inside(ctx, x, y, color) {
    const pad = 14;
    const [px, py] = [clamp(x, pad, this.W - pad), clamp(y, pad, this.H - pad)];
    if (px === x && py === y) return [x, y];
    const angle = Math.atan2(y - py, x - px);
    ctx.save();
    ctx.translate(px, py);
    ctx.rotate(angle);
    ctx.beginPath();
    ctx.moveTo(13, 0); ctx.lineTo(8, -4.5); ctx.lineTo(8, 4.5); ctx.closePath();
    ctx.fillStyle = color;
    ctx.fill();
    ctx.restore();
    ctx.beginPath();
    return [px, py];
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Arrows} mark  @param {string} name */
  drawArrows(ctx, mark, name) {
    const color = css(rgb(this.palette, mark));
    for (let i = 0; i < mark.tails.data.length; i += 2) {
      const [x0, y0] = [this.X(mark.tails.data[i]), this.Y(mark.tails.data[i + 1])];
      let [x1, y1] = [this.X(mark.tips.data[i]), this.Y(mark.tips.data[i + 1])];
      const length = Math.hypot(x1 - x0, y1 - y0);
      if (mark.label) this.labels.push({ key: name, text: mark.label, x: x1, y: y1, color: mark.color, italic: true, size: 16, links: mark.links, toward: [x1 - x0, y1 - y0] });
      if (length < mark.gap + 3) continue;
      const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
      [x1, y1] = [x1 - ux * mark.gap, y1 - uy * mark.gap];
      for (let k = 0; k <= 8; k++) this.obstacles.push([x0 + ((x1 - x0) * k) / 8, y0 + ((y1 - y0) * k) / 8, 4]);
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
      stroke(css(this.palette.ground), mark.width + 3);
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
  /** @param {CanvasRenderingContext2D} ctx  @param {Bars} mark */
  drawBars(ctx, mark) {
    const { palette } = this;
    ctx.globalAlpha *= mark.alpha;
    for (let i = 0; i < mark.heights.data.length; i++) {
      const height = mark.heights.data[i];
      const [x0, x1] = [this.X(mark.at.data[i] - mark.width / 2), this.X(mark.at.data[i] + mark.width / 2)];
      const [y0, y1] = [this.Y(mark.base), this.Y(height)];
      ctx.fillStyle = css(mark.signed ? palette[height < mark.base ? "neg" : "pos"] : rgb(palette, mark));
      ctx.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
  }
  /** @param {Label} mark  @param {string} name */
  drawLabel(mark, name) {
    const [x, y] = [this.X(mark.at.data[0]), this.Y(mark.at.data[1])];
    this.labels.push({ key: name, text: mark.text, x, y, color: mark.color, italic: mark.italic, size: mark.size, angle: mark.angle, lift: mark.lift, shift: mark.shift, anchor: mark.anchor, still: true, links: mark.links });
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Handle} mark  @param {string} name */
  drawHandle(ctx, mark, name) {
    const color = css(rgb(this.palette, mark));
    const [x, y] = this.inside(ctx, this.X(mark.at.data[0]), this.Y(mark.at.data[1]), color);
    this.taken.add(name);
    let handle = this.handles.get(name);
    if (!handle) this.handles.set(name, (handle = this.handle(name, mark)));
    handle.mark = mark;
    handle.spot = [x, y];
    const live = this.store.gestures.heard;
    handle.setAttribute("class", `nfteach-handle nfteach-${mark.color} nfteach-${mark.shape}${this.held?.name === name ? " nfteach-held" : ""}${live ? "" : " nfteach-dead"}`);
    const turn = mark.shape === "grip" ? ` rotate(${-mark.angle})` : "";
    put(handle, {
      transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})${turn}`,
      "aria-label": `${mark.label || name}: ${mark.help || "drag, or use the arrow keys"}`,
      "aria-valuetext": mark.value || `${written(mark.at.data[0])}, ${written(mark.at.data[1])}`,
      opacity: faded(this.store, mark.links) ? DIM : 1,
    });
    handle.words.textContent = mark.help || "";
    this.obstacles.push([x, y, 10]);
    if (mark.label) this.labels.push({ key: `${name}.name`, text: mark.label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
  }
  /** @param {string} name  @param {Handle} mark  @returns {Grip} */
  handle(name, mark) {
    const made = draw("g", { tabindex: 0, role: "slider", "aria-valuenow": 0 }, this.layers.handles);
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
      this.store.held = g.mark.links;
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
      for (const v of node.yticks || []) wanted.push([this.X(x0) - 6, this.Y(v) + 4, written(v, v % 1 ? (Math.abs(v * 10 - Math.round(v * 10)) > 1e-6 ? 2 : 1) : 0), "end"]);
      if (node.xlabel) wanted.push([this.W - 6, this.H - 4, node.xlabel, "end", true]);
      if (node.ylabel) wanted.push([2, 9, node.ylabel, "start", true]);
    }
    const key = JSON.stringify([wanted, this.W, this.H, node.axis]);
    if (this.ticked === key) return;
    this.ticked = key;
    this.layers.ticks.replaceChildren();
    if (node.axis) draw("line", { x1: this.X(x0), x2: this.X(x1), y1: this.Y(Math.max(y0, Math.min(0, y1))), y2: this.Y(Math.max(y0, Math.min(0, y1))), class: "nfteach-axis" }, this.layers.ticks);
    for (const [x, y, text, anchor, named] of wanted) {
      draw("text", { x, y, text, "text-anchor": anchor, class: named ? "nfteach-axis-name" : "nfteach-tick" }, this.layers.ticks);
    }
  }
  // Names stand beside their things, where they cover nothing; each stays where it was unless it has to move.
  place() {
    const seen = new Set();
    /** @type {number[][]} */
    const boxes = [];
    for (const one of this.labels) {
      const width = measure(one.text, one.size, this.palette.font) + 4;
      const height = one.size + 4;
      seen.add(one.key);
      const { lift = 0, shift = 0 } = one;
      let spot = [one.x, one.y];
      const ahead = one.anchor === "start" ? width / 2 - 2 : one.anchor === "end" ? 2 - width / 2 : 0; // from its place to its middle
      if (one.still && one.angle === null) spot = [clamp(one.x + shift + ahead, width / 2, this.W - width / 2), clamp(one.y, height / 2, this.H - height / 2)];
      if (!one.still) {
        const away = one.toward ? Math.atan2(one.toward[1], one.toward[0]) : -0.7;
        const before = this.turns.get(one.key);
        let best = { cost: Infinity, turn: 0, x: 0, y: 0 };
        for (let k = 0; k < 12; k++) {
          const turn = away + (k % 2 ? 1 : -1) * Math.ceil(k / 2) * (Math.PI / 6);
          const far = 14 + Math.abs(Math.cos(turn)) * (width / 2) + Math.abs(Math.sin(turn)) * (height / 2 - 2);
          const [x, y] = [one.x + far * Math.cos(turn), one.y + far * Math.sin(turn)];
          const box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
          let cost = 0.02 * k + (before !== undefined && Math.abs(Math.cos(turn - before) - 1) > 0.02 ? 0.3 : 0);
          cost += 4 * (Number(box[0] < 0) + Number(box[1] < 0) + Number(box[2] > this.W) + Number(box[3] > this.H));
          for (const [ox, oy, r] of this.obstacles) if (ox + r > box[0] && ox - r < box[2] && oy + r > box[1] && oy - r < box[3]) cost += 1;
          for (const other of boxes) if (box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]) cost += 6;
          if (cost < best.cost) best = { cost, turn, x, y };
        }
        this.turns.set(one.key, best.turn);
        spot = [best.x, best.y];
      }
      boxes.push([spot[0] - width / 2, spot[1] - height / 2, spot[0] + width / 2, spot[1] + height / 2]);
      let word = this.words.get(one.key);
      if (!word) this.words.set(one.key, (word = draw("text", { "text-anchor": "middle", "dominant-baseline": "central" }, this.layers.words)));
      const turned = one.still && one.angle !== null && one.angle !== undefined ? ` rotate(${readable(-Math.atan2(this.map[2] * Math.sin((one.angle * Math.PI) / 180) * -1, this.map[0] * Math.cos((one.angle * Math.PI) / 180)) * (180 / Math.PI))})` : "";
      put(word, {
        text: one.text, class: `nfteach-word nfteach-${one.color}${one.italic ? " nfteach-m" : ""}`, style: `font-size:${one.size}px`,
        x: turned ? shift + ahead : 0, y: one.still ? -lift : 0,
        transform: `translate(${spot[0].toFixed(1)} ${spot[1].toFixed(1)})${turned}`, opacity: faded(this.store, one.links) ? DIM : 1,
      });
    }
    for (const [key, word] of this.words) if (!seen.has(key)) { word.remove(); this.words.delete(key); }
  }
}
/** @param {number} degrees */
const readable = (degrees) => (degrees > 90 ? degrees - 180 : degrees < -90 ? degrees + 180 : degrees).toFixed(1);
