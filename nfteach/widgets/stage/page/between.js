// @ts-check
/** @import { Nodes, Numbers, Picture } from "./types" */

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
    /** @type {Record<string, any>} */
    const moved = {};
    if (a.kind === "Pixels" && b.order && a.ink.data.length === b.ink.data.length) {
      const { data: order } = b.order;
      for (const name of ["ink", "hue"]) if (a[name] && b[name] && a[name] !== b[name]) moved[name] = mixed(a[name], b[name], (k) => Number(order[k % order.length] < t));
    } else if (a.kind !== "Pixels") {
      for (const [name, from] of Object.entries(a)) {
        const to = b[name];
        if (from === to || !to) continue;
        if (Array.isArray(from) && (name === "x" || name === "y")) moved[name] = from.map((v, k) => v + (to[k] - v) * t); // a range
        else if (typeof from === "number" && typeof to === "number") moved[name] = from + (to - from) * t;
        else if (from?.data instanceof Float32Array && to.data?.length === from.data.length) moved[name] = mixed(from, to, () => t);
      }
    }
    nodes[path] = Object.keys(moved).length ? { ...near.nodes[path], ...moved } : near.nodes[path];
  }
  return { nodes, order: near.order, rows: near.rows };
}

/** @param {Numbers} from  @param {Numbers} to  @param {(k: number) => number} share */
function mixed({ data: from }, { data: to, shape }, share) {
  const data = to.slice();
  for (let k = 0; k < data.length; k++) {
    const t = share(k);
    if (t < 1) data[k] = from[k] + (to[k] - from[k]) * t;
  }
  return { data, shape };
}
