// @ts-check
/** @import { Stage } from "./part.js" */
/** @import { Matrix, Pair } from "./types" */
import { Sheet, measure } from "./canvas.js";
import { element, say, style } from "./elements.js";
import { PartView } from "./part.js";
import { css } from "./theme.js";
import { STEPS, clamp, written } from "./values.js";

/** @extends PartView<Matrix> */
export class MatrixView extends PartView {
  /** @param {Stage} stage  @param {string} name  @param {Matrix} node */
  constructor(stage, name, node) {
    super(stage, name, node, "nfteach-matrix");
    this.rows = this.columns = this.left = this.top = this.cellW = this.cellH = 0;
    this.canvas = element("canvas", { class: "nfteach-canvas", role: "application", tabindex: 0 }, this.box);
    this.canvases = [this.canvas];
    this.sheet = new Sheet(this.canvas);
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
    this.touch();
  }
  /** @param {Matrix} node */
  draw(node) {
    const [rows, columns] = ([this.rows, this.columns] = node.values.shape);
    const { palette } = this;
    this.left = node.rows.length ? 8 + Math.max(...node.rows.map((text) => measure(text, 14, palette.font))) : 1;
    this.top = node.columns.length ? 22 : 1;
    const width = Math.min(this.sizes.of(this.box).width || node.width, node.width);
    this.cellW = (width - this.left - 1) / columns;
    this.cellH = Math.min(this.cellW, (node.height - this.top) / rows);
    const height = this.top + this.cellH * rows + 1;
    style(this.canvas, { width: `${width}px`, height: `${height}px` });
    const ctx = this.sheet.begin(width, height);
    const font = clamp(this.cellW / 3.4, 9, 14);
    const numbers = this.cellW >= 29 && this.cellH >= 17;
    const gap = this.cellW > 14 ? 1.5 : this.cellW > 5 ? 0.5 : 0;
    const held = this.lit ? [] : [...(this.store.lit || []), ...this.store.held];
    const heldColumn = node.column_links.findIndex((name) => held.includes(name));
    const heldRow = node.row_links.findIndex((name) => held.includes(name));
    const [rule, ink, pale] = [palette.rule, palette.ink, palette.soft].map((color) => css(color));
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
        if (gap > 1 && !zero) { shape(); ctx.strokeStyle = rule; ctx.lineWidth = 1; ctx.stroke(); }
        if (on && this.lit) { shape(); ctx.strokeStyle = ink; ctx.lineWidth = 2; ctx.stroke(); }
        const text = zero ? "\u00b7" : one ? "1" : numbers ? written(value, Math.abs(value) >= 99.5 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2) : "";
        if (text && (numbers || this.cellW >= 9)) {
          ctx.font = `${one ? 700 : 400} ${zero ? font + 3 : font}px ${palette.font}`;
          ctx.fillStyle = zero ? pale : ink;
          ctx.fillText(text, x + this.cellW / 2, y + this.cellH / 2 + 1);
        }
      }
    }
    ctx.font = `italic 600 14px ${palette.font}`;
    node.rows.forEach((text, i) => {
      ctx.textAlign = "right";
      ctx.globalAlpha = this.lit && this.lit[0] !== i ? 0.45 : 1;
      ctx.fillStyle = pale;
      ctx.fillText(text, this.left - 6, this.top + (i + 0.5) * this.cellH);
    });
    node.columns.forEach((text, j) => {
      ctx.textAlign = "center";
      ctx.globalAlpha = this.lit && this.lit[1] !== j ? 0.45 : 1;
      ctx.fillStyle = pale;
      ctx.fillText(text, this.left + (j + 0.5) * this.cellW, 11);
    });
    this.note = this.lit && node.notes.length ? node.notes[this.lit[0] * columns + this.lit[1]] : "";
    this.sheet.end();
    say(this.canvas, () => ({ "aria-label": this.words() }));
  }
  /** The matrix, or the entry that is pointed at, in words. */
  words() {
    const { node, rows, columns } = this;
    const entries = Array.from(node.values.data, (value) => written(value));
    const words = rows * columns <= 36 ? Array.from({ length: rows }, (_, i) => entries.slice(i * columns, (i + 1) * columns).join(", ")).join("; ") : "";
    const here = this.lit && `row ${this.lit[0] + 1}, column ${this.lit[1] + 1}: ${entries[this.lit[0] * columns + this.lit[1]]} ${this.note}`;
    return here || `${node.title || this.name}, ${rows} by ${columns}: ${words}`;
  }
}
