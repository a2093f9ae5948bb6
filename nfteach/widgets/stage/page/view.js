// @ts-check
// One view: help, parts, numbers, notes, the error line.
/** @import { Store } from "./store.js" */
/** @import { PartView, Stage } from "./part.js" */
/** @import { Nodes, Row } from "./types" */
import { CALM, Sizes, draw, element, put, say, speak, style } from "./elements.js";
import { frameControls } from "./frames.js";
import { showGauge } from "./gauge.js";
import { keepKeys } from "./keys.js";
import { MatrixView } from "./matrix.js";
import { differ } from "./part.js";
import { PixelsView } from "./pixels.js";
import { PlaneView } from "./plane.js";
import { StripView } from "./strip.js";
import { themed, watchThemes } from "./theme.js";
import { clamp } from "./values.js";

/** @type {Record<string, new (stage: Stage, name: string, node: any) => PartView<any>>} */
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
  /** @type {Map<string, PartView<any> & { kind: string }>} */
  const parts = new Map();
  /** @type {Map<string, { box: HTMLElement, line: HTMLElement }>} */
  const columns = new Map();
  const sizes = new Sizes(() => ask());
  let alive = true;
  let painted = 0;
  let late = false;

  /** @param {HTMLElement} list  @param {Row[]} rows */
  function showRows(list, rows) {
    list.hidden = !rows.length;
    if (list.children.length !== rows.length) {
      sizes.forget(list);
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
      texts.forEach((text, k) => put(cell.children[k], { text }));
      cell.classList.toggle("nfteach-bad", bad);
      cell.children[2].toggleAttribute("hidden", !note);
      cell.children[3].toggleAttribute("hidden", !gauge);
      if (gauge) showGauge(/** @type {SVGSVGElement} */ (cell.children[3]), gauge, clamp(sizes.of(cell).width || 264, 120, 264));
    });
  }
  /** @type {(place: string) => (name: string) => boolean} */
  const stands = (place) => (name) => nodes[name].place === place;
  /** Put parts where they belong. */
  function arrange() {
    for (const [name, part] of parts) if (nodes[name]?.kind !== part.kind) { sizes.forget(part.box); part.box.remove(); parts.delete(name); }
    for (const name of names) {
      if (parts.has(name)) continue;
      const { kind } = nodes[name];
      parts.set(name, Object.assign(new KINDS[kind]({ store, sizes, root }, name, nodes[name]), { kind }));
    }
    // In their order, numbers last in their column.
    /** @param {Element} parent  @param {Element[]} wanted  @param {(...boxes: Element[]) => void} put */
    const inOrder = (parent, wanted, put) => {
      const here = [...parent.children].filter((child) => child.matches(".nfteach-part, .nfteach-column"));
      if (differ(wanted, here)) put(...wanted);
    };
    /** @param {string} name */
    const boxOf = (name) => /** @type {PartView<any>} */ (parts.get(name)).box;
    /** @type {Map<string, string[]>} */
    const columned = new Map();
    for (const name of names) columned.set(nodes[name].column, [...(columned.get(nodes[name].column) || []), name]);
    for (const [name, column] of columns) if (!columned.has(name)) { column.box.remove(); columns.delete(name); }
    lines = [[mainNote, names.filter((name) => stands("main")(name) && !nodes[name].column)], [sideNote, names.filter((name) => stands("side")(name) && !nodes[name].column)]];
    for (const [name, members] of columned) {
      if (!name) continue;
      let column = columns.get(name);
      if (!column) {
        const box = element("div", { class: "nfteach-column" });
        columns.set(name, (column = { box, line: element("p", { class: "nfteach-note" }, box) }));
      }
      style(column.box, { "--w": `${Math.max(...members.map((one) => nodes[one].width))}px` });
      const { line } = column;
      inOrder(column.box, members.map(boxOf), (...boxes) => line.before(...boxes));
      lines.push([line, members]);
    }
    two.classList.toggle("nfteach-wide", columns.size > 0);
    for (const place of [main, side]) {
      const wanted = names.filter((name) => stands("side")(name) === (place === side));
      const boxes = new Set(wanted.map((name) => columns.get(nodes[name].column)?.box || boxOf(name)));
      inOrder(place, [...boxes], (...all) => (place === side ? sideNote.before(...all) : place.append(...all)));
    }
    for (const name of names) {
      boxOf(name).classList.toggle("nfteach-corner", stands("corner")(name));
      boxOf(name).classList.toggle("nfteach-aside", nodes[name].aside);
    }
  }
  /** @type {Nodes} */
  let nodes = {};
  /** @type {Row[]} */
  let rows = [];
  /** @type {string[]} */
  let order = [];
  /** @type {string[]} */
  let names = []; // of parts
  /** @type {Map<string, [string, string][]>} */
  let marks = new Map(); // name of a part -> names and paths of its marks
  /** @type {[HTMLElement, string[]][]} */
  let lines = []; // below some parts: what makes the entry that is pointed at, or what to point at
  let known = { arranged: "", help: "" };
  function paint() {
    if (!alive) return;
    const now = store.now();
    nodes = now.nodes;
    if (now.order !== order) {
      order = now.order;
      names = order.filter((path) => !path.includes("/"));
      marks = new Map(names.map((name) => [name, order.filter((path) => path.startsWith(`${name}/`)).map((path) => [path.slice(name.length + 1), path])]));
    }
    if (known.help !== store.help) speak((known.help = store.help || ""), help);
    help.hidden = !store.help;
    style(two, { "--main": `${store.main ?? 560}px` });
    if (now.rows !== rows) {
      rows = now.rows;
      const hidden = rows.filter((row) => row[5]);
      showRows(rest, hidden);
      more.hidden = !hidden.length;
    }
    showRows(table, rows.filter((row) => !row[5]));
    root.classList.toggle("nfteach-stale", Boolean(store.error));
    errorLine.hidden = !store.error;
    put(errorLine, { text: store.error || "" });
    put(root, { "data-by": store.own ? "page" : "kernel" });
    refusedLine.hidden = !store.refused;
    put(refusedLine, { text: store.refused && `Computed by the kernel, at its pace: ${store.refused}` });
    controls.refresh();
    const arranged = names.map((name) => [name, nodes[name].kind, nodes[name].place, nodes[name].column, nodes[name].width, nodes[name].aside].join()).join(";");
    if (arranged !== known.arranged) { known.arranged = arranged; arrange(); }
    side.hidden = !rows.length && !names.some(stands("side"));
    for (const name of names) parts.get(name)?.show(nodes[name], (marks.get(name) || []).map(([mark, path]) => [mark, nodes[path]]));
    for (const [line, members] of lines) {
      const noted = members.filter((name) => nodes[name].note || nodes[name].notes?.length);
      line.hidden = !noted.length;
      put(line, { text: noted.map((name) => parts.get(name)?.note).find(Boolean) || noted.map((name) => nodes[name].note).find(Boolean) || "" });
    }
    say(root, () => {
      const numbers = rows.filter((row) => !row[5]).map(([label, value, unit]) => `${label} ${value} ${unit}`.trim());
      return { "aria-label": `${store.alt || "a picture that moves"}${numbers.length ? ": " : ""}${numbers.join(", ")}.` };
    });
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
    sizes.observer.disconnect();
    seen.disconnect();
    store.views.delete(ask);
    themed.delete(ask);
    root.remove();
  };
}
