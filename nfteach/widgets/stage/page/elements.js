// @ts-check
// Elements of the page.

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
  for (const [key, value] of Object.entries(attributes)) key === "text" ? (made.textContent = value) : made.setAttribute(key, String(value));
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
/** @param {Element} one  @param {Record<string, any>} attributes */
export function put(one, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") { if (one.textContent !== value) one.textContent = value; }
    else if (one.getAttribute(key) !== String(value)) one.setAttribute(key, String(value));
  }
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
