// @ts-check
// Numbers and arrays.
/** @import { Numbers } from "./types" */

/** @type {Record<string, Uint8ArrayConstructor | Int32ArrayConstructor | Float32ArrayConstructor | Float64ArrayConstructor>} */
const TYPES = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };
/** Rows and columns by which an arrow key moves.
 * @type {Record<string, [number, number]>}
 */
export const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
/** @type {(value: number, low: number, high: number) => number} */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
/** @type {(value: number, digits?: number) => string} */
export const written = (value, digits = 2) => (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "\u2212");

/**
 * {"$": [number, dtype, shape]} stands for an array. The bytes are copied: a view must start at a multiple of its item size.
 * @param {any} node
 * @param {(DataView | ArrayBuffer)[]} buffers
 * @returns {any}
 */
export function unpack(node, buffers) {
  if (Array.isArray(node)) return node.map((item) => unpack(item, buffers));
  if (node === null || typeof node !== "object") return node;
  if (node.$) {
    const [index, dtype, shape] = node.$;
    const raw = buffers[index];
    const bytes = ArrayBuffer.isView(raw)
      ? raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength) : raw.slice(0);
    return { data: new TYPES[dtype](/** @type {ArrayBuffer} */ (bytes)), shape };
  }
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, unpack(value, buffers)]));
}
/** @param {any} trait */
export const unpackTrait = (trait) => (trait ? unpack(trait.content, trait.buffers) : {});

/** Return `before` if `now` is the same but for its identity; arrays of numbers are compared by theirs.
 * @template T
 * @param {any} before
 * @param {T} now
 * @returns {T}
 */
export function like(before, now) {
  /** @type {(a: any, b: any) => boolean} */
  const same = (a, b) => a === b || (typeof a === "object" && typeof b === "object" && a && b && !a.data && !b.data &&
    Object.keys(a).length === Object.keys(b).length && Object.keys(b).every((key) => same(a[key], b[key])));
  return same(before, now) ? before : now;
}

/**
 * Points of an array (lines, points, 2), or (points, 2) for one line.
 * @param {Numbers} points
 */
export const linesOf = ({ data, shape }) => (shape.length === 3 ? { data, count: shape[0], each: shape[1] } : { data, count: 1, each: shape[0] });
