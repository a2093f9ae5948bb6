// @ts-check
// The browser's side of LiveFigure: paints parts from arrays, and says what is dragged, painted and clicked.
// The modules, joined by modules.py, are one module for anywidget; no dependency.
/** @import { Model } from "./types" */
import { Store } from "./store.js";
import { makeView } from "./view.js";

export default () => {
  /** @type {Store} */
  let store;
  return {
    /** @param {{ model: Model }} page */
    initialize({ model }) {
      store = new Store(model);
      return store.dispose;
    },
    /** @param {{ el: HTMLElement }} page */
    render({ el }) {
      return makeView(store, el);
    },
  };
};
