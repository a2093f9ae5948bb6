// @ts-check
// A recorded computation in the page: numbers of sliders -> what it returned, with the numbers that it has here.

import { H } from "./library.js";
import { TEXTS } from "./texts.js";

/** @import { Told } from "../stage/page/types" */
/** @typedef {{ run: (inputs: (number | number[])[], changed: number) => void, outputs: (() => any)[] }} Running */

const WHOLE = /^(bool|int|uint)/;

export class Program {
  /** @param {Told} told @param {(library: typeof H, constant: (k: number) => any) => Running} make */
  constructor(told, make) {
    this.told = told;
    this.running = make(H, (k) => told.constants[k].data);
    this.inputs = told.inputs;
    this.hidden = told.hidden;
    /** @type {any[] | null} */ this.last = null;
    /** @type {any[]} */ this.values = [];
    this.masks = told.texts.map((text) => this.maskOf(text.slice(1)));
    this.whole = grown(told.tree, (leaf) => this.maskOf(leaf));
  }
  /** @param {Told} told */
  static async load(told) {
    const address = URL.createObjectURL(new Blob([told.code], { type: "text/javascript" }));
    try { return new Program(told, (await import(/* webpackIgnore: true */ address)).default); } finally { URL.revokeObjectURL(address); }
  }
  /** The inputs that something depends on, bit by bit. @param {any} node @returns {number} */
  maskOf(node) {
    if (node === null || typeof node !== "object") return 0;
    if (node["="] !== undefined) return this.told.masks[node["="]];
    if (node["~"]) return node["~"].reduce((/** @type {number} */ mask, /** @type {any} */ piece) => mask | (typeof piece === "number" ? this.maskOf(this.told.texts[piece].slice(1)) : 0), 0);
    return (Array.isArray(node) ? node : Object.values(node)).reduce((/** @type {number} */ mask, one) => mask | this.maskOf(one), 0);
  }
  /** What the function returns for these inputs; null where it would do something else than what was recorded, or is not finite.
   * Parts that have not changed are the same objects as before. @param {Record<string, any>} state */
  at(state) {
    const inputs = this.inputs.map((name) => state[name]);
    let changed = 0;
    inputs.forEach((value, k) => { if (!this.last || value !== this.last[k]) changed |= 1 << k; });
    const begun = this.last !== null;
    this.last = inputs;
    this.running.run(inputs.map((value) => (typeof value === "string" ? Array.from(value, Number) : value)), begun ? changed : -1);
    this.told.masks.forEach((mask, k) => { if (!begun || mask & changed) this.values[k] = this.running.outputs[k](); });
    if (this.values.some((value, k) => (!begun || this.told.masks[k] & changed) && value.length && !allFinite(value))) { this.last = null; return null; }
    if (this.told.guards.some(([{ "=": k }, wanted]) => Number(this.values[k]) !== wanted)) { this.last = null; return null; }
    this.result = this.built(this.whole, this.told.tree, begun && this.result ? changed : -1, this.result);
    return this.result;
  }
  /** @param {any} masks @param {any} node @param {number} changed @param {any} before @returns {any} */
  built(masks, node, changed, before) {
    if (!(masks.mask & changed) && before !== undefined) return before;
    if (node === null || typeof node !== "object") return node;
    if (node["@"] !== undefined) return this.told.arrays[node["@"]];
    if (node["="] !== undefined) {
      const value = this.values[node["="]];
      return node.shape ? { data: value, shape: node.shape } : node.dtype === "bool" ? Boolean(value) : value;
    }
    if (node["~"]) return node["~"].map((/** @type {any} */ piece) => (typeof piece === "number" ? this.words(this.told.texts[piece]) : piece)).join("");
    if (Array.isArray(node)) return node.map((one, k) => this.built(masks.inner[k], one, changed, before?.[k]));
    return Object.fromEntries(Object.entries(node).map(([name, one]) => [name, this.built(masks.inner[name], one, changed, before?.[name])]));
  }
  /** @param {any[]} text @returns {string} */
  words([kind, number, ...details]) {
    const value = this.values[number["="]];
    if (kind === "written" && WHOLE.test(number.dtype)) return String(value).replace("-", "\u2212");
    return TEXTS[kind](value, ...details.map((one) => (one && one["~"] ? this.built({ mask: -1 }, one, -1, undefined) : one)));
  }
}

/** Whether all numbers are finite: their sum is. @param {Float32Array | Uint8Array} values */
function allFinite(values) {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += values[k];
  return Number.isFinite(sum);
}

/** A tree of the same form with the masks of its parts. @param {any} node @param {(node: any) => number} mask @returns {any} */
function grown(node, mask) {
  const inner = node !== null && typeof node === "object" && node["@"] === undefined && node["="] === undefined && !node["~"]
    ? Array.isArray(node) ? node.map((one) => grown(one, mask)) : Object.fromEntries(Object.entries(node).map(([k, v]) => [k, grown(v, mask)]))
    : null;
  return { mask: mask(node), inner };
}
