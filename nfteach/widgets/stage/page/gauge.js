// @ts-check
/** @import { Gauge } from "./types" */
import { draw, put } from "./elements.js";
import { clamp, written } from "./values.js";

/**
 * Draw the line on which a number of the readout stands.
 * @param {SVGSVGElement & { key?: string, pale?: SVGElement, dot?: SVGElement }} svg
 * @param {Gauge} node
 */
export function showGauge(svg, node, width = 264) {
  /** @param {number} v */
  const X = (v) => 8 + clamp((v - node.range[0]) / (node.range[1] - node.range[0]), 0, 1) * (width - 16);
  const key = JSON.stringify([node.range, node.zone, node.word, node.ticks, width]);
  if (svg.key !== key) {
    svg.key = key;
    svg.replaceChildren();
    put(svg, { width, height: 40 });
    if (node.zone) {
      draw("rect", { x: X(node.zone[0]), width: X(node.zone[1]) - X(node.zone[0]), y: 9, height: 6, class: "nfteach-zone" }, svg);
      draw("text", { x: X(node.zone[0]), y: 34, class: "nfteach-tick nfteach-neg", text: node.word }, svg);
    }
    draw("line", { x1: X(node.range[0]), x2: X(node.range[1]), y1: 12, y2: 12, class: "nfteach-axis" }, svg);
    for (const edge of node.zone || []) if (edge > node.range[0] && edge < node.range[1]) draw("line", { x1: X(edge), x2: X(edge), y1: 5, y2: 19, class: "nfteach-edge" }, svg);
    for (const v of node.ticks) draw("text", { x: X(v), y: 34, "text-anchor": "middle", class: "nfteach-tick", text: written(v, v % 1 ? 1 : 0) }, svg);
    svg.pale = draw("circle", { r: 5.5, cy: 12, opacity: 0.4 }, svg);
    svg.dot = draw("circle", { r: 5.5, cy: 12 }, svg);
  }
  if (!svg.dot || !svg.pale) return;
  put(svg.dot, { cx: X(node.value), class: `nfteach-fill-${node.color}` });
  put(svg.pale, { cx: X(node.given ?? node.value), class: `nfteach-fill-${node.color}`, visibility: node.given === null ? "hidden" : "visible" });
}
