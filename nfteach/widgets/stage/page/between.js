// @ts-check
/** @import { Nodes, Picture } from "./types" */

/**
 * What is drawn between two pictures: points move along straight lines; a density fades out and the next one in.
 * @param {Picture} one
 * @param {Picture} other
 * @param {number} t
 * @returns {Picture}
 */
export function between(one, other, t) {
  const near = t < 0.5 ? one : other;
  /** @type {Nodes} */
  const nodes = {};
  for (const path of near.order) {
    const [a, b] = [one.nodes[path], other.nodes[path]];
    if (!a || !b || a === b || a.kind !== b.kind) { nodes[path] = near.nodes[path]; continue; }
    if (a.kind === "Density") {
      nodes[path] = a.values === b.values ? near.nodes[path] : a.blend ? { ...a, fading: 1 - t, next: { ...b, fading: t } }
        : { ...near.nodes[path], fading: Math.max(0, 1 - 5 * Math.min(t, 1 - t)) };
      continue;
    }
    nodes[path] = { ...near.nodes[path] };
    if (a.kind === "Pixels" && b.order && a.ink.data.length === b.ink.data.length) {
      for (const name of ["ink", "hue"]) {
        const [from, to] = [a[name], b[name]];
        if (from && to && from !== to) nodes[path][name] = { data: to.data.map((/** @type {number} */ v, /** @type {number} */ i) => (b.order.data[i % b.order.data.length] < t ? v : from.data[i])), shape: to.shape };
      }
    }
    if (a.fixed || a.kind === "Pixels") continue;
    for (const [name, from] of Object.entries(a)) {
      const to = b[name];
      if (from === to || !to) continue;
      if (Array.isArray(from) && (name === "x" || name === "y")) nodes[path][name] = from.map((/** @type {number} */ v, /** @type {number} */ i) => v + (to[i] - v) * t); // a range
      else if (typeof from === "number" && typeof to === "number" && name !== "frame") nodes[path][name] = from + (to - from) * t;
      else if (from?.data instanceof Float32Array && to.data?.length === from.data.length) {
        nodes[path][name] = { data: from.data.map((/** @type {number} */ v, /** @type {number} */ i) => v + (to.data[i] - v) * t), shape: to.shape };
      }
    }
  }
  return { nodes, order: near.order, rows: near.rows };
}
