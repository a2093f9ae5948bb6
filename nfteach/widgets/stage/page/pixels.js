// @ts-check
/** @import { Stage } from "./part.js" */
/** @import { Pair, Palette, Pixels } from "./types" */
import { Sheet } from "./canvas.js";
import { element, focusOn, put, say, style } from "./elements.js";
import { PartView } from "./part.js";
import { css } from "./theme.js";
import { STEPS, clamp, written } from "./values.js";

/** @typedef {[number, number, number]} Spot an image, a row, a column */

/** @extends PartView<Pixels> */
export class PixelsView extends PartView {
  /** @param {Stage} stage  @param {string} name  @param {Pixels} node */
  constructor(stage, name, node) {
    super(stage, name, node, "nfteach-pixels");
    this.ink = this.seq = this.side = this.cell = this.pitchX = this.pitchY = this.rows = 0;
    /** @type {HTMLElement | null} */
    this.border = null;
    this.pic = element("div", { class: "nfteach-images" }, this.box);
    this.canvas = element("canvas", { class: "nfteach-canvas", role: "img" }, this.pic);
    this.canvases = [this.canvas];
    this.sheet = new Sheet(this.canvas);
    /** @type {Spot | null} */
    this.cursor = null; // of the keys
    /** @type {Spot | null} */
    this.hover = null; // of the pointer
    /** @type {Map<number, number>} */
    this.painted = new Map(); // painted here, until the kernel has answered
    /** @type {Record<string, (event: any) => void>} */
    const on = {
      pointerdown: (event) => {
        const spot = this.spot(event);
        if (event.button !== 0 || !spot || !this.node.gesture) return;
        event.preventDefault();
        focusOn(this.canvas);
        this.cursor = this.hover = null;
        if (this.node.gesture === "paint" && this.paints(spot)) {
          this.canvas.setPointerCapture(event.pointerId);
          this.ink = this.inkAt(spot) > 0.1 ? 0 : 1;
        }
        this.act(spot);
      },
      pointermove: (event) => {
        if (this.node.gesture !== "paint" || !this.canvas.hasPointerCapture(event.pointerId)) return this.point(this.spot(event));
        for (const one of event.getCoalescedEvents?.() || [event]) { const spot = this.spot(one); if (spot && this.paints(spot)) this.act(spot); }
      },
      pointerleave: () => this.point(null),
      keydown: (event) => {
        if (!this.node.gesture) return;
        const [tiles, rows, columns] = this.node.ink.shape;
        const by = STEPS[event.key];
        if (by) {
          event.preventDefault();
          const [tile, i, j] = this.cursor || [Math.max(this.chosen()[0], 0), 0, 0];
          this.cursor = this.node.gesture === "choose"
            ? [clamp(tile + by[1] + by[0] * this.node.per_row, 0, tiles - 1), 0, 0]
            : [tile, clamp(i + by[0], 0, rows - 1), clamp(j + by[1], 0, columns - 1)];
          this.touch();
        } else if ((event.key === " " || (event.key === "Enter" && !event.shiftKey)) && this.cursor) {
          event.preventDefault();
          this.ink = this.inkAt(this.cursor) > 0.1 ? 0 : 1;
          this.act(this.cursor);
        }
      },
      blur: () => { this.cursor = null; this.touch(); },
    };
    for (const [event, handler] of Object.entries(on)) this.canvas.addEventListener(event, handler);
  }
  /** @param {Spot} spot */
  index([tile, i, j]) { const [, rows, columns] = this.node.ink.shape; return (tile * rows + i) * columns + j; }
  /** @param {Spot} spot */
  inkAt(spot) { return this.painted.get(this.index(spot)) ?? this.node.ink.data[this.index(spot)]; }
  /** @param {Spot} spot */
  paints(spot) { return !this.node.paintable || this.node.paintable.data[this.index(spot)] > 0; }
  /** @param {Spot | null} spot */
  point(spot) {
    if (!this.node.notes.length || String(spot) === String(this.hover)) return;
    this.hover = spot;
    this.touch();
  }
  /** @param {Spot} spot */
  act(spot) {
    const { gesture } = this.node;
    if (gesture === "choose") { this.store.gesture(this.name, [spot[0]]); return; }
    if (gesture === "pick") { this.store.gesture(this.name, spot); return; }
    if (!this.paints(spot)) { this.store.gesture(this.name, [...spot, -1]); return; }
    if (this.inkAt(spot) === this.ink) return;
    if (this.store.gesture(this.name, [...spot, this.ink], true)) return;
    this.painted.set(this.index(spot), this.ink);
    this.seq = this.store.seq;
    this.touch();
  }
  /** @param {PointerEvent} event  @returns {Spot | null} */
  spot({ offsetX, offsetY, target }) {
    if (target !== this.canvas) return null;
    const { side, pitchX, pitchY, cell } = this;
    const [tiles, rows, columns] = this.node.ink.shape;
    const [column, row] = [Math.floor(offsetX / pitchX), Math.floor(offsetY / pitchY)];
    const tile = row * this.node.per_row + column;
    const [j, i] = [Math.floor((offsetX - column * pitchX) / cell), Math.floor((offsetY - row * pitchY) / cell)];
    if (column >= this.node.per_row || tile >= tiles || side === 0) return null;
    if (this.node.gesture === "choose") return [tile, 0, 0];
    return i < rows && j < columns && i >= 0 && j >= 0 ? [tile, i, j] : null;
  }
  // What was painted here is shown until the kernel has answered; the height of the window counts for a single image.
  inputs() { return [this.painted.size && this.store.seq, innerHeight]; }
  /** @param {Pixels} node */
  draw(node) {
    if (this.store.seq !== this.seq) this.painted.clear();
    const { palette } = this;
    const [tiles, rows, columns] = node.ink.shape;
    const gap = node.per_row > 1 ? 16 : 0;
    // A single image is seen as a whole, with what stands below it.
    const room = node.gesture !== "choose" ? ((innerHeight - 370) * columns) / rows : node.width;
    const width = Math.min(this.sizes.of(this.box).width || node.width, node.width, Math.max(room, 200) * node.per_row);
    this.pitchX = (width + gap) / node.per_row;
    this.side = this.pitchX - gap;
    const cell = (this.cell = this.side / columns);
    const words = node.titles.length ? 20 : 0;
    const tall = cell * rows;
    this.pitchY = tall + words + (node.per_row > 1 || tiles > 1 ? 12 : 0);
    const height = Math.ceil(tiles / node.per_row) * this.pitchY;
    style(this.canvas, { width: `${width}px`, height: `${height}px`, cursor: node.gesture ? (node.gesture === "paint" ? "crosshair" : "pointer") : "" });
    const ctx = this.sheet.begin(width, height);
    // Room between pixels, unless none of them has an edge.
    const inset = node.outline && !node.outline.data.includes(1) ? 0 : cell > 10 ? 1 : cell > 5 ? 0.5 : 0;
    this.cells(ctx, node, cell, inset);
    const chosen = this.chosen();
    for (let tile = 0; tile < tiles; tile++) {
      const [x0, y0] = this.corner(tile);
      if (!inset) { ctx.strokeStyle = css(palette.rule); ctx.lineWidth = 1; ctx.strokeRect(x0 + 0.5, y0 + 0.5, this.side - 1, tall - 1); }
      if (node.titles[tile]) {
        ctx.font = `12px ${palette.font}`;
        ctx.fillStyle = css(palette.soft);
        ctx.fillText(node.titles[tile], x0, y0 + tall + 14, this.side); // in narrower letters where there is less room
      }
      if (chosen.includes(tile) || (node.gesture === "choose" && this.cursor?.[0] === tile)) {
        ctx.strokeStyle = css(chosen.includes(tile) ? palette.ink : palette.soft);
        ctx.lineWidth = 2;
        ctx.strokeRect(x0 + 1, y0 + 1, this.side - 2, tall - 2);
      }
    }
    this.overlay(ctx, node, cell, palette);
    const pointed = node.gesture !== "choose" ? this.cursor || this.hover : null;
    this.note = pointed ? node.notes[this.index(pointed)] || "" : "";
    const lit = pointed || node.lit?.data || [];
    for (let k = 0; k < lit.length; k += 3) {
      if (lit[k] < 0) continue;
      const [x0, y0] = this.corner(lit[k]);
      ctx.strokeStyle = css(palette.ink);
      ctx.lineWidth = 2;
      ctx.strokeRect(x0 + lit[k + 2] * cell + 1, y0 + lit[k + 1] * cell + 1, cell - 2, cell - 2);
    }
    this.sheet.end();
    say(this.canvas, () => ({ "aria-label": this.cursor ? this.told(this.cursor) : `${node.title || this.name}: ${tiles} of ${rows} by ${columns} pixels. ${node.titles.join(", ")} ${node.help}` }));
    if (node.gesture) put(this.canvas, { tabindex: 0, role: "application" });
    this.showBorder(node, cell, width, rows);
  }
  /** @param {CanvasRenderingContext2D} ctx  @param {Pixels} node  @param {number} cell  @param {number} inset */
  cells(ctx, node, cell, inset) {
    const { palette, painted } = this;
    const [tiles, rows, columns] = node.ink.shape;
    // Without room between them pixels end where the screen's do: they must not overlap.
    const edge = inset ? (/** @type {number} */ v) => v : Math.round;
    const edges = new Path2D();
    let hue = "";
    for (let tile = 0, k = 0; tile < tiles; tile++) {
      const [x0, y0] = this.corner(tile);
      for (let i = 0; i < rows; i++) {
        const y = edge(y0 + i * cell) + inset;
        const high = edge(y0 + (i + 1) * cell) - y - inset;
        for (let j = 0; j < columns; j++, k++) {
          const own = painted.size ? painted.get(k) : undefined;
          const ink = own ?? node.ink.data[k];
          const x = edge(x0 + j * cell) + inset;
          const wide = edge(x0 + (j + 1) * cell) - x - inset;
          if (ink > 0.004) {
            const role = node.hues[own !== undefined || !node.hue ? 0 : node.hue.data[k]] || "ink";
            if (role !== hue) ctx.fillStyle = css(palette[role]);
            hue = role;
            ctx.globalAlpha = clamp(ink, 0, 1) * (role === "ink" ? 0.8 : 1);
            ctx.fillRect(x, y, wide, high);
          }
          if (inset && ink < 0.5 && (!node.outline || node.outline.data[k])) edges.rect(x, y, wide, high);
        }
      }
    }
    ctx.globalAlpha = 1;
    ctx.strokeStyle = css(palette.rule, 0.8);
    ctx.lineWidth = 1;
    if (inset) ctx.stroke(edges);
  }
  /** What stands where the keys are.
   * @param {Spot} spot
   */
  told([tile, i, j]) {
    const { gesture, titles, notes, ink } = this.node;
    if (gesture === "choose") return `image ${tile + 1} of ${ink.shape[0]} ${titles[tile] || ""}${this.chosen().includes(tile) ? ", chosen" : ""}`;
    return `row ${i + 1}, column ${j + 1}: ${written(this.inkAt([tile, i, j]))} ${notes[this.index([tile, i, j])] || ""}`;
  }
  chosen() {
    const { chosen } = this.node;
    return typeof chosen === "number" ? [chosen] : chosen ? Array.from(chosen.data) : [-1];
  }
  /** The upper left corner of an image.
   * @param {number} tile
   */
  corner(tile) { return [(tile % this.node.per_row) * this.pitchX, Math.floor(tile / this.node.per_row) * this.pitchY]; }
  /** @param {CanvasRenderingContext2D} ctx  @param {Pixels} node  @param {number} cell  @param {Palette} palette */
  overlay(ctx, node, cell, palette) {
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = css(palette.ink, 0.7);
    ctx.beginPath();
    for (let k = 0; node.lines && k < node.lines.data.length; k += 5) {
      const [tile, i, j, down, across] = node.lines.data.slice(k, k + 5);
      const [x, y] = this.corner(tile);
      ctx.moveTo(x + j * cell, y + i * cell);
      ctx.lineTo(x + across * cell, y + down * cell);
    }
    ctx.stroke();
    if (cell < 14) return;
    const each = node.ink.shape[1] * node.ink.shape[2];
    Object.assign(ctx, { font: `600 ${clamp(cell / 2, 11, 16)}px ${palette.font}`, textAlign: "center", textBaseline: "middle", lineWidth: 4, lineJoin: "round" });
    node.words.forEach((word, k) => {
      if (!word) return;
      const [x, y] = this.corner(Math.floor(k / each));
      /** @type {Pair} */
      const spot = [x + ((k % node.ink.shape[2]) + 0.5) * cell, y + (Math.floor((k % each) / node.ink.shape[2]) + 0.5) * cell + 1];
      ctx.strokeStyle = css(palette.ground);
      ctx.strokeText(word, ...spot);
      ctx.fillStyle = css(palette.ink);
      ctx.fillText(word, ...spot);
    });
    ctx.textAlign = "start";
    ctx.textBaseline = "alphabetic";
  }
  /** @param {Pixels} node  @param {number} cell  @param {number} width  @param {number} rows */
  showBorder(node, cell, width, rows) {
    if (node.border === null) { this.border?.remove(); this.border = null; return; }
    if (!this.border) {
      const border = (this.border = element("div", { class: "nfteach-border", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0 }, this.pic));
      /** @param {number} row */
      const send = (row) => this.store.gesture(`${this.name}/border`, [clamp(row, 0, this.rows)]);
      /** @type {Record<string, (event: any) => void>} */
      const on = {
        pointerdown: (event) => { if (event.button === 0) { event.preventDefault(); focusOn(border); border.setPointerCapture(event.pointerId); } },
        pointermove: (event) => { if (border.hasPointerCapture(event.pointerId)) send((event.clientY - this.canvas.getBoundingClientRect().top) / this.cell); },
        keydown: (event) => {
          const by = STEPS[event.key];
          if (by) { event.preventDefault(); send(Math.round(this.node.border ?? 0) + by[0] + by[1]); }
        },
      };
      for (const [event, handler] of Object.entries(on)) border.addEventListener(event, handler);
    }
    this.rows = rows;
    style(this.border, { top: `${node.border * cell}px`, width: `${width}px` });
    put(this.border, { "aria-label": node.border_help, title: node.border_help, "aria-valuemax": rows, "aria-valuenow": Math.round(node.border) });
  }
}
