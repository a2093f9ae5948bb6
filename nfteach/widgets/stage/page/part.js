// @ts-check
/** @import { Store } from "./store.js" */
/** @import { Mark } from "./types" */
import { Sizes, element, put, style } from "./elements.js";
import { paletteOf } from "./theme.js";

/** What the parts of a view share.
 * @typedef {{ store: Store, sizes: Sizes, root: HTMLElement }} Stage
 */

/** Whether two lists differ in one of their members.
 * @param {any[]} one
 * @param {any[]} other
 */
export const differ = (one, other) => one.length !== other.length || one.some((each, k) => each !== other[k]);

/**
 * A part in the page.
 * @template {{ title: string, width: number, height: number }} Node
 */
export class PartView {
  /** @param {Stage} stage  @param {string} name  @param {Node} node  @param {string} look */
  constructor({ store, sizes, root }, name, node, look) {
    this.store = store;
    this.sizes = sizes;
    this.root = root;
    this.name = name;
    this.node = node;
    this.note = ""; // on what is pointed at
    this.palette = paletteOf(root);
    this.box = element("div", { class: `nfteach-part ${look}` });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    /** @type {HTMLCanvasElement[]} */
    this.canvases = [];
    /** @type {any[]} */
    this.drawn = []; // what the picture depends on, as it was drawn
  }
  /** The element whose size counts. @returns {Element} */
  get frame() { return this.box; }
  /** What else the picture depends on. @returns {any[]} */
  inputs() { return []; }
  /** Make it draw, even if nothing has changed in the store. */
  touch() {
    this.drawn = [];
    this.store.tell();
  }
  /** Draw if something has changed.
   * @param {Node} node
   * @param {[string, Mark][]} marks
   */
  show(node, marks) {
    const { width, height } = node;
    const moved = style(this.box, { "--w": `${width}px`, "--h": `${height}px`, "--ratio": String(width / height) });
    put(this.heading, { text: node.title });
    this.heading.hidden = !node.title;
    const { lit, held, gestures } = this.store;
    this.palette = paletteOf(this.root);
    const now = [node, this.sizes.of(this.frame, moved), this.palette, devicePixelRatio, lit, held, gestures.heard, ...this.inputs(), ...marks.map(([, mark]) => mark)];
    if (differ(now, this.drawn)) {
      this.drawn = now;
      this.node = node;
      this.draw(node, marks);
    }
    for (const canvas of this.canvases) canvas.dataset.seq = String(this.store.seq);
  }
  /** @param {Node} _node  @param {[string, Mark][]} _marks */
  draw(_node, _marks) {}
}
