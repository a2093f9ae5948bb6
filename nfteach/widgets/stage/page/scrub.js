// @ts-check
/** @import { Store } from "./store.js" */

/**
 * What stands along the steps moves through them: a click goes to one, a drag through all.
 * @param {SVGElement} target
 * @param {Store} store
 * @param {(x: number) => number | null} place x in pixels -> among the frames
 * @param {(spot: number) => number} nearest that -> the frame that is clicked
 */
export function scrub(target, store, place, nearest = Math.round) {
  /** @type {number | null} */
  let from = null;
  /** @param {PointerEvent} event */
  const at = (event) => place(event.clientX - target.getBoundingClientRect().left);
  target.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.defaultPrevented || at(event) === null) return;
    event.preventDefault();
    target.setPointerCapture(event.pointerId);
    from = event.clientX;
    store.stop?.();
  });
  target.addEventListener("pointermove", (event) => {
    if (!target.hasPointerCapture(event.pointerId) || (from !== null && Math.abs(event.clientX - from) < 4)) return;
    from = null;
    store.gliding = null;
    store.position = at(event) ?? 0;
    store.tell();
  });
  target.addEventListener("pointerup", (event) => {
    if (!target.hasPointerCapture(event.pointerId)) return;
    const spot = at(event) ?? 0;
    if (from === null) store.go(spot, 150);
    else store.go(nearest(spot));
  });
}
