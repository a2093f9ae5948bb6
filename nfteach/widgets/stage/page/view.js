// @ts-check
// One view: help, parts, numbers, notes, the error line.
/** @import { Store } from "./store.js" */
/** @import { PartView, Row } from "./types" */
import { CALM, draw, element, put, speak } from "./elements.js";
import { frameControls } from "./frames.js";
import { showGauge } from "./gauge.js";
import { keepKeys } from "./keys.js";
import { MatrixView } from "./matrix.js";
import { PixelsView } from "./pixels.js";
import { PlaneView } from "./plane.js";
import { StripView } from "./strip.js";
import { themed, watchThemes } from "./theme.js";
import { clamp } from "./values.js";

/** @type {Record<string, new (store: Store, name: string, root: HTMLElement, node: any) => PartView>} */
const KINDS = { Plane: PlaneView, Chart: PlaneView, Matrix: MatrixView, Strip: StripView, Pixels: PixelsView };

/**
 * Show a store in an element; return what takes it away.
 * @param {Store} store
 * @param {HTMLElement} el
 */
export function makeView(store, el) {
  watchThemes();
  const root = element("div", { class: "nfteach-live", role: "figure" }, el);
  const help = element("p", { class: "nfteach-help" }, root);
  const two = element("div", { class: "nfteach-two" }, root);
  const left = element("div", { class: "nfteach-left" }, two);
  const main = element("div", { class: "nfteach-main" }, left);
  const mainNote = element("p", { class: "nfteach-note" }, left);
  const controls = frameControls(store, left);
  const side = element("div", { class: "nfteach-side" }, two);
  const sideNote = element("p", { class: "nfteach-note" }, side);
  const table = element("dl", { class: "nfteach-readout" }, side);
  const more = element("details", { class: "nfteach-rest" }, side);
  element("summary", { text: "more numbers" }, more);
  const rest = element("dl", { class: "nfteach-readout" }, more);
  const refusedLine = element("p", { class: "nfteach-note nfteach-refused", hidden: "" }, root);
  const errorLine = element("div", { class: "nfteach-error", role: "alert", hidden: "" }, root);
  /** @type {Map<string, PartView & { kind: string }>} */
  const parts = new Map();
  /** @type {Map<string, { box: HTMLElement, line: HTMLElement }>} */
  const columns = new Map();
  let alive = true;
  let painted = 0;
  let late = false;

  /** @param {HTMLElement} list  @param {Row[]} rows */
  function showRows(list, rows) {
    list.hidden = !rows.length;
    if (list.children.length !== rows.length) {
      list.replaceChildren(...rows.map(() => {
        const cell = element("div");
        for (const part of /** @type {const} */ (["dt", "dd", "small"])) element(part, {}, cell);
        draw("svg", { class: "nfteach-gauge", "aria-hidden": "true" }, cell);
        return cell;
      }));
    }
    rows.forEach(([label, value, unit, note, bad, , gauge], i) => {
      const cell = /** @type {HTMLElement} */ (list.children[i]);
      const texts = [label, unit ? `${value} ${unit}` : value, note];
      texts.forEach((text, k) => { if (cell.children[k].textContent !== text) cell.children[k].textContent = text; });
      cell.classList.toggle("nfteach-bad", bad);
      cell.children[2].toggleAttribute("hidden", !note);
      cell.children[3].toggleAttribute("hidden", !gauge);
      if (gauge) showGauge(/** @type {SVGSVGElement} */ (cell.children[3]), gauge, clamp(cell.clientWidth || 264, 120, 264));
    });
  }
  function paint() {
    if (!alive) return;
    const { nodes, order, rows } = store.now();
    if (help.dataset.words !== store.help) { help.dataset.words = store.help || ""; speak(store.help || "", help); }
    help.hidden = !store.help;
    two.style.setProperty("--main", `${store.main ?? 560}px`);
    showRows(table, rows.filter((row) => !row[5]));
    const hidden = rows.filter((row) => row[5]);
    showRows(rest, hidden);
    more.hidden = !hidden.length;
    root.classList.toggle("nfteach-stale", Boolean(store.error));
    root.dataset.by = store.own ? "page" : "kernel";
    errorLine.hidden = !store.error;
    refusedLine.hidden = !store.refused;
    refusedLine.textContent = store.refused && `Computed by the kernel, at its pace: ${store.refused}`;
    if (errorLine.textContent !== store.error) errorLine.textContent = store.error || "";
    controls.refresh();
    /** @type {Record<string, [string, any][]>} */
    const marks = {};
    for (const path of order) {
      const cut = path.indexOf("/");
      if (cut > 0) (marks[path.slice(0, cut)] ||= []).push([path.slice(cut + 1), nodes[path]]);
    }
    const names = order.filter((path) => !path.includes("/"));
    for (const name of names) {
      const node = nodes[name];
      if (parts.get(name)?.kind !== node.kind) {
        parts.get(name)?.box.remove();
        const made = Object.assign(new KINDS[node.kind](store, name, root, node), { kind: node.kind });
        parts.set(name, made);
        watch.observe(made.box);
      }
    }
    for (const [name, part] of parts) if (!names.includes(name)) { part.box.remove(); parts.delete(name); }
    // In their order, numbers last in their column.
    /** @param {Element} parent  @param {Element[]} wanted  @param {(...boxes: Element[]) => void} put */
    const inOrder = (parent, wanted, put) => {
      const here = [...parent.children].filter((child) => child.matches(".nfteach-part, .nfteach-column"));
      if (wanted.length !== here.length || wanted.some((box, i) => box !== here[i])) put(...wanted);
    };
    /** @type {Map<string, string[]>} */
    const columned = new Map();
    /** @param {string} name */
    const boxOf = (name) => /** @type {PartView} */ (parts.get(name)).box;
    for (const name of names) columned.set(nodes[name].column, [...(columned.get(nodes[name].column) || []), name]);
    for (const [name, column] of columns) if (!columned.has(name)) { column.box.remove(); columns.delete(name); }
    for (const [name, members] of columned) {
      if (!name) continue;
      let column = columns.get(name);
      if (!column) {
        const box = element("div", { class: "nfteach-column" });
        columns.set(name, (column = { box, line: element("p", { class: "nfteach-note" }, box) }));
      }
      column.box.style.setProperty("--w", `${Math.max(...members.map((one) => nodes[one].width))}px`);
      const { line } = column;
      inOrder(column.box, members.map(boxOf), (...boxes) => line.before(...boxes));
    }
    two.classList.toggle("nfteach-wide", columns.size > 0);
    for (const place of [main, side]) {
      const wanted = names.filter((name) => (nodes[name].place === "side") === (place === side));
      const boxes = new Set(wanted.map((name) => columns.get(nodes[name].column)?.box || boxOf(name)));
      inOrder(place, [...boxes], (...all) => (place === side ? sideNote.before(...all) : place.append(...all)));
    }
    side.hidden = !rows.length && !names.some((name) => nodes[name].place === "side");
    for (const name of names) {
      boxOf(name).classList.toggle("nfteach-corner", nodes[name].place === "corner");
      boxOf(name).classList.toggle("nfteach-aside", nodes[name].aside);
      parts.get(name)?.draw(nodes[name], marks[name] || []);
    }
    // What makes the entry that is pointed at, or what to point at.
    /** @type {[HTMLElement, string[]][]} */
    const lines = [["main", mainNote], ["side", sideNote]].map(([place, line]) => [/** @type {HTMLElement} */ (line), names.filter((name) => nodes[name].place === place && !nodes[name].column)]);
    for (const [name, column] of columns) lines.push([column.line, columned.get(name) || []]);
    for (const [line, members] of lines) {
      const noted = members.filter((name) => nodes[name].note || nodes[name].notes?.length);
      const words = noted.map((name) => parts.get(name)?.note).find(Boolean) || noted.map((name) => nodes[name].note).find(Boolean) || "";
      line.hidden = !noted.length;
      if (line.textContent !== words) line.textContent = words;
    }
    const numbers = rows.filter((row) => !row[5]).map(([label, value, unit]) => `${label} ${value} ${unit}`.trim());
    put(root, { "aria-label": `${store.alt || "a picture that moves"}${numbers.length ? ": " : ""}${numbers.join(", ")}.` });
  }
  // What comes is painted at once. More of it before the next frame of the screen makes one more painting: the newest wins.
  function ask() {
    if (painted) { late = true; return; }
    painted = requestAnimationFrame(() => {
      painted = 0;
      if (late) { late = false; ask(); }
    });
    paint();
  }
  const watch = new ResizeObserver(() => ask());
  watch.observe(root);
  store.views.add(ask);
  themed.add(ask);
  paint();
  const seen = new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    seen.disconnect();
    if (store.autoplay && !CALM.matches) controls.start();
  });
  seen.observe(root);
  // Once it is in the page: the whole explorer, controls included.
  let letGo = () => {};
  requestAnimationFrame(() => {
    if (!alive) return;
    const all = el.closest(".nfteach-explorer") || root;
    const rest = keepKeys(all);
    // A preset is reached here where it can be; the kernel then hears of the controls.
    /** @param {Event} event */
    const chosen = (event) => {
      const button = event.target instanceof Element && event.target.closest(".nfteach-preset, .nfteach-reset");
      if (button && store.here?.preset(button.textContent || "")) event.stopPropagation();
    };
    all.addEventListener("click", chosen, true);
    letGo = () => { rest(); all.removeEventListener("click", chosen, true); };
    paint();
  });
  return () => {
    alive = false;
    letGo();
    controls.stop();
    cancelAnimationFrame(painted);
    watch.disconnect();
    seen.disconnect();
    store.views.delete(ask);
    themed.delete(ask);
    root.remove();
  };
}
