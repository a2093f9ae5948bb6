// @ts-check
/** @import { Store } from "./store.js" */
/** @import { Matrix, Pair } from "./types" */
import { measure, sized } from "./canvas.js";
import { element, put } from "./elements.js";
import { css, paletteOf } from "./theme.js";
import { STEPS, clamp, written } from "./values.js";

export class MatrixView {
  /** @param {Store} store  @param {string} name  @param {HTMLElement} root  @param {Matrix} node */
  constructor(store, name, root, node) {
    this.store = store;
    this.name = name;
    this.root = root;
    this.node = node;
    this.note = "";
    this.rows = this.columns = this.left = this.top = this.cellW = this.cellH = 0;
    this.box = element("div", { class: "nfteach-part nfteach-matrix" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.canvas = element("canvas", { class: "nfteach-canvas", role: "application", tabindex: 0 }, this.box);
    /** @type {Pair | null} */
    this.lit = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => this.light(null));
    this.canvas.addEventListener("blur", () => this.light(null));
    this.canvas.addEventListener("keydown", (event) => {
      const by = STEPS[event.key];
      if (!by) return;
      event.preventDefault();
      const [i, j] = this.lit || [0, -by[1] || 0];
      this.light([clamp(i + by[0], 0, this.rows - 1), clamp(j + by[1], 0, this.columns - 1)]);
    });
  }
  /** @param {number} x  @param {number} y */
  point(x, y) {
    const [i, j] = [Math.floor((y - this.top) / this.cellH), Math.floor((x - this.left) / this.cellW)];
    this.light(i >= 0 && j >= 0 && i < this.rows && j < this.columns ? [i, j] : null);
  }
  /** @param {Pair | null} entry */
  light(entry) {
    if (String(entry) === String(this.lit)) return;
    this.lit = entry;
    const { row_links, column_links, links, values } = this.node;
    const own = entry && links[entry[0] * values.shape[1] + entry[1]];
    const names = own || (entry ? [row_links[entry[0]], column_links[entry[1]]].filter(Boolean) : []);
    this.store.lit = names.length ? names : null;
    this.store.tell();
  }
  /** @param {Matrix} node */
  draw(node) {
    this.node = node;
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    const [rows, columns] = ([this.rows, this.columns] = node.values.shape);
    const palette = paletteOf(this.root);
    this.left = node.rows.length ? 8 + Math.max(...node.rows.map((text) => measure(text, 14, palette.font))) : 1;
    this.top = node.columns.length ? 22 : 1;
    const width = Math.min(this.box.clientWidth || node.width, node.width);
    this.cellW = (width - this.left - 1) / columns;
    this.cellH = Math.min(this.cellW, (node.height - this.top) / rows);
    const height = this.top + this.cellH * rows + 1;
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const ctx = sized(this.canvas, width, height);
    const font = clamp(this.cellW / 3.4, 9, 14);
    const numbers = this.cellW >= 29 && this.cellH >= 17;
    const gap = this.cellW > 14 ? 1.5 : this.cellW > 5 ? 0.5 : 0;
    const held = this.lit ? [] : [...(this.store.lit || []), ...this.store.held];
    const heldColumn = node.column_links.findIndex((name) => held.includes(name));
    const heldRow = node.row_links.findIndex((name) => held.includes(name));
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const k = i * columns + j;
        const value = node.values.data[k];
        const [x, y] = [this.left + j * this.cellW, this.top + i * this.cellH];
        const [zero, one] = [node.zero?.data[k], node.one?.data[k]];
        const on = this.lit ? this.lit[0] === i && this.lit[1] === j : heldColumn === j || heldRow === i;
        const cross = this.lit && (this.lit[0] === i || this.lit[1] === j);
        ctx.globalAlpha = (this.lit && !on && !cross) || ((heldColumn >= 0 || heldRow >= 0) && !this.lit && !on) ? 0.35 : 1;
        const shape = () => { ctx.beginPath(); ctx.roundRect(x + gap, y + gap, this.cellW - 2 * gap, this.cellH - 2 * gap, gap ? 2 : 0); };
        if (!zero && !one) {
          shape();
          ctx.fillStyle = css(palette[value < 0 ? "neg" : "pos"], (0.78 * Math.abs(value)) / (1 + Math.abs(value)));
          ctx.fill();
        }
        if (gap > 1 && !zero) { shape(); ctx.strokeStyle = css(palette.rule); ctx.lineWidth = 1; ctx.stroke(); }
        if (on && this.lit) { shape(); ctx.strokeStyle = css(palette.ink); ctx.lineWidth = 2; ctx.stroke(); }
        const text = zero ? "\u00b7" : one ? "1" : numbers ? written(value, Math.abs(value) >= 99.5 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2) : "";
        if (text && (numbers || this.cellW >= 9)) {
          ctx.font = `${one ? 700 : 400} ${zero ? font + 3 : font}px ${palette.font}`;
          ctx.fillStyle = css(zero ? palette.soft : palette.ink);
          ctx.fillText(text, x + this.cellW / 2, y + this.cellH / 2 + 1);
        }
      }
    }
    ctx.font = `italic 600 14px ${palette.font}`;
    node.rows.forEach((text, i) => {
      ctx.textAlign = "right";
      ctx.globalAlpha = this.lit && this.lit[0] !== i ? 0.45 : 1;
      ctx.fillStyle = css(palette.soft);
      ctx.fillText(text, this.left - 6, this.top + (i + 0.5) * this.cellH);
    });
    node.columns.forEach((text, j) => {
      ctx.textAlign = "center";
      ctx.globalAlpha = this.lit && this.lit[1] !== j ? 0.45 : 1;
      ctx.fillStyle = css(palette.soft);
      ctx.fillText(text, this.left + (j + 0.5) * this.cellW, 11);
    });
    this.note = this.lit && node.notes.length ? node.notes[this.lit[0] * columns + this.lit[1]] : "";
    const entries = Array.from(node.values.data, (value) => written(value));
    const words = rows * columns <= 36 ? Array.from({ length: rows }, (_, i) => entries.slice(i * columns, (i + 1) * columns).join(", ")).join("; ") : "";
    const here = this.lit && `row ${this.lit[0] + 1}, column ${this.lit[1] + 1}: ${entries[this.lit[0] * columns + this.lit[1]]} ${this.note}`;
    put(this.canvas, { "aria-label": here || `${node.title || this.name}, ${rows} by ${columns}: ${words}` });
    this.canvas.dataset.seq = String(this.store.seq);
  }
}
