// @ts-check

// What the controls of ipywidgets lack: names for sliders and their numbers, which button is pressed, a key for "more".
/** Set attributes of an element that is not ours.
 * @param {Element} one
 * @param {Record<string, any>} attributes
 */
function mend(one, attributes) {
  for (const [key, value] of Object.entries(attributes)) if (one.getAttribute(key) !== String(value)) one.setAttribute(key, String(value));
}

/** @param {Element} root */
function completeControls(root) {
  for (const one of root.querySelectorAll(".noUi-handle, .widget-readout")) {
    mend(one, { "aria-label": one.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent || "value" });
  }
  for (const one of root.querySelectorAll(".widget-toggle-button")) mend(one, { "aria-pressed": one.classList.contains("mod-active") });
  for (const header of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".jupyter-widget-Collapse-header"))) {
    mend(header, { tabindex: 0, role: "button", "aria-expanded": header.parentElement?.classList.contains("jupyter-widget-Collapse-open") });
    header.onkeydown = (event) => {
      if (event.shiftKey || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      header.click();
    };
  }
}

// The notebook has meanings of its own for letters, arrows and Enter: it does not get them from here. Shift+Enter still
// runs the cell, and Ctrl+S saves.
/** @param {Element} root */
export function keepKeys(root) {
  completeControls(root);
  /** @param {KeyboardEvent} event */
  const passes = (event) => event.ctrlKey || event.metaKey || (event.shiftKey && event.key === "Enter");
  /** @param {KeyboardEvent} event */
  const stop = (event) => { if (!passes(event)) event.stopPropagation(); };
  // Notebook 7 looks at keys on their way down to here: too early for stopPropagation. But it leaves alone what has this
  // attribute: the very element that the key is for, since what is around that comes too late in its search.
  /** @param {KeyboardEvent} event */
  const guard = (event) => event.target instanceof Element && root.contains(event.target) &&
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));
  const watch = () => window.addEventListener("keydown", guard, true);
  const rest = () => window.removeEventListener("keydown", guard, true);
  /** @type {Record<string, (event: any) => void>} */
  const on = { keydown: stop, focusin: () => { watch(); completeControls(root); }, focusout: rest, click: () => setTimeout(() => completeControls(root)) };
  for (const [event, handler] of Object.entries(on)) root.addEventListener(event, handler);
  if (root.contains(document.activeElement)) watch();
  return () => {
    rest();
    for (const [event, handler] of Object.entries(on)) root.removeEventListener(event, handler);
  };
}
