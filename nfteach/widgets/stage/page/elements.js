// @ts-check
// Elements of the page. Nothing is written that stands there already, and no size is read while something is painted:
// either makes the page lay itself out anew.

export const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} attributes
 * @param {Element | null} parent
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, parent = null) {
  const made = document.createElement(tag);
  put(made, attributes);
  if (parent) parent.append(made);
  return made;
}
/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} attributes
 * @param {Element | null} parent
 * @returns {SVGElementTagNameMap[T]}
 */
export function draw(tag, attributes = {}, parent = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  put(made, attributes);
  if (parent) parent.append(made);
  return made;
}
/** What was put last: to ask the page for it would take longer.
 * @type {WeakMap<Element, Record<string, any>>}
 */
const last = new WeakMap();
/** Set attributes, and with "text" the text, of an element that nothing else sets.
 * @param {Element} one
 * @param {Record<string, any>} attributes
 */
export function put(one, attributes) {
  let known = last.get(one);
  if (!known) last.set(one, (known = {}));
  for (const key in attributes) {
    const value = attributes[key];
    if (known[key] === value) continue;
    known[key] = value;
    if (key === "text") one.textContent = value;
    else one.setAttribute(key, String(value));
  }
}
/** Set properties of its style, such as "--w".
 * @param {HTMLElement | SVGElement} one
 * @param {Record<string, string>} properties
 * @returns {boolean} whether one of them has changed
 */
export function style(one, properties) {
  let changed = false;
  for (const key in properties) {
    if (one.style.getPropertyValue(key) === properties[key]) continue;
    one.style.setProperty(key, properties[key]);
    changed = true;
  }
  return changed;
}

/** @type {Map<Element, () => Record<string, any>>} */
const unsaid = new Map();
let speaking = false;
let silent = -Infinity;
/** Set attributes that are read aloud: what moves would be too fast to follow, so they change four times a second at most.
 * @param {Element} one
 * @param {() => Record<string, any>} words
 */
export function say(one, words) {
  unsaid.set(one, words);
  if (speaking) return;
  speaking = true;
  const speakNow = () => {
    speaking = false;
    silent = performance.now() + 250;
    for (const [each, make] of unsaid) put(each, make());
    unsaid.clear();
  };
  const left = Math.min(silent - performance.now(), 250);
  if (left > 0) setTimeout(speakNow, left);
  else queueMicrotask(speakNow);
}

/**
 * "[u](x) and *J*": u in the colour of the role x, J as mathematics.
 * @param {string} words
 * @param {Element} parent
 */
export function speak(words, parent) {
  parent.replaceChildren();
  for (const piece of words.split(/(\[[^\]]+\]\(\w+\)|\*[^*]+\*)/)) {
    const role = piece.match(/^\[([^\]]+)\]\((\w+)\)$/);
    if (role) element("i", { class: `nfteach-${role[2]}`, text: role[1] }, parent);
    else if (/^\*.+\*$/.test(piece)) element("i", { text: piece.slice(1, -1) }, parent);
    else parent.append(piece);
  }
}

/** Give an element the keys, without a ring around it.
 * @param {HTMLElement | SVGElement} one
 */
export const focusOn = (one) => one.focus(/** @type {FocusOptions} */ ({ focusVisible: false, preventScroll: true }));

/** Sizes of elements, in whole pixels of the page: read once, and watched from then on. */
export class Sizes {
  /** @param {() => void} changed called when an element has got another size */
  constructor(changed) {
    /** @type {Map<Element, { width: number, height: number }>} */
    this.known = new Map();
    this.observer = new ResizeObserver((entries) => {
      let news = false;
      for (const { target, contentRect } of entries) news = this.keep(target, Math.round(contentRect.width), Math.round(contentRect.height)) || news;
      if (news) changed();
    });
  }
  /** @param {Element} one  @param {number} width  @param {number} height */
  keep(one, width, height) {
    const before = this.known.get(one);
    if (before?.width === width && before.height === height) return false;
    this.known.set(one, { width, height });
    return true;
  }
  /** Return the size of an element, the same object as long as it stays.
   * @param {Element} one
   * @param {boolean} anew whether it is read again, since something was done that may change it
   */
  of(one, anew = false) {
    const known = this.known.get(one);
    if (known && !anew) return known;
    if (!known) this.observer.observe(one);
    this.keep(one, one.clientWidth, one.clientHeight);
    return /** @type {{ width: number, height: number }} */ (this.known.get(one));
  }
  /** @param {Element} one */
  forget(one) {
    for (const each of this.known.keys()) if (one.contains(each)) { this.known.delete(each); this.observer.unobserve(each); }
  }
}
