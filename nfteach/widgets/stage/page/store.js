// @ts-check
// The model's side: what is shown, in any number of views.
/** @import { Content, Model, Nodes, Numbers, Picture } from "./types" */
import { between } from "./between.js";
import { CALM } from "./elements.js";
import { Here } from "./here.js";
import { clamp, like, unpack, unpackTrait } from "./values.js";

/**
 * What is shown, in any number of views. `hear` takes what has changed, from the kernel or from a program in the page;
 * `now` is the picture to be painted, and `tell` has it painted; `gesture` passes on what is dragged; `frames`,
 * `position`, `go` are the steps.
 */
export class Store {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** @type {Set<() => void>} */
    this.views = new Set();
    /** @type {Picture} */
    this.scene = { nodes: {}, order: [], rows: [] };
    /** @type {Picture[]} */
    this.told = []; // the kernel's frames
    /** @type {{ frames: Picture[] } | (Picture & { frames?: undefined }) | null} */
    this.own = null; // what the page has computed: shown in place of what the kernel told
    /** @type {Here | null} */
    this.here = null;
    this.refused = ""; // why it is not computed in the page
    /** @type {Record<string, Numbers>} */
    this.pool = {};
    this.position = 0; // among the frames; between two of them while it moves
    this.seq = -1;
    this.kept = -1; // what a saved notebook would hold
    this.error = "";
    this.help = "";
    this.alt = "";
    this.step = "";
    /** @type {string[]} */
    this.stops = [];
    this.autoplay = false;
    this.main = 560;
    /** @type {{ number: number, flying: number | null, wanted: { name: string, values: number[] } | null, heard: boolean }} */
    this.gestures = { number: 0, flying: null, wanted: null, heard: true };
    /** @type {string[] | null} */
    this.lit = null; // names that light up
    /** @type {string[]} */
    this.held = []; // names of the handle that is held: their rows and columns light up
    /** @type {{ from: Picture, began: number, ms: number } | null} */
    this.journey = null;
    /** @type {{ from: number, to: number, began: number, ms: number } | null} */
    this.gliding = null;
    this.keeping = false;
    /** @type {(() => void) | null} */
    this.stop = null; // what plays
    this.patience = 0;
    this.resting = 0;
    /** @type {Record<string, (...all: any[]) => void>} */
    const on = {
      "change:_frames": () => this.takeFrames(),
      "change:_state": () => this.takeState(),
      "change:frame": () => { if (!this.keeping) this.glide(this.model.get("frame")); },
      "msg:custom": (content, buffers) => this.hear(unpack(content, buffers)),
    };
    for (const [event, handler] of Object.entries(on)) model.on(event, handler);
    this.dispose = () => { for (const [event, handler] of Object.entries(on)) model.off(event, handler); };
    this.takeFrames();
    this.takeState();
    this.ask(); // updates may have been missed
  }
  takeState() {
    const state = unpackTrait(this.model.get("_state"));
    if (state.seq === undefined) return;
    this.kept = state.seq;
    if (state.seq < this.seq) return;
    const { nodes, order, rows, seq, error, help, alt, step, stops, autoplay, main } = state;
    Object.assign(this, { scene: { nodes, order, rows }, seq, error, help, alt, step, stops, autoplay, main });
    if (state.wiring && !this.here) {
      this.here = new Here(this, state.wiring);
      this.here.start();
    }
    if (Math.abs(this.position - this.aim) < 1e-3) this.position = this.model.get("frame"); // unless it moves
    if (!this.here?.active) this.tell();
  }
  takeFrames() {
    const told = unpackTrait(this.model.get("_frames"));
    this.pool = {};
    this.mergeFrames(told.frames || [], told.pool || {});
  }
  /** @param {Picture[]} frames  @param {Record<string, Numbers>} fresh */
  mergeFrames(frames, fresh) {
    const pool = { ...this.pool, ...fresh };
    /** @type {Record<string, Numbers>} */
    const used = {};
    /** @param {any} value */
    const find = (value) => (value && value["@"] ? (used[value["@"]] = pool[value["@"]]) : value);
    // What is the same as in the frame before is the same object: it need not be painted again.
    /** @type {Picture | undefined} */
    let before;
    this.told = frames.map(({ nodes, order, rows }) => {
      const found = Object.entries(nodes).map(([path, node]) =>
        [path, like(before?.nodes[path], Object.fromEntries(Object.entries(node).map(([name, value]) => [name, find(value)])))]);
      return (before = { nodes: Object.fromEntries(found), order: like(before?.order, order), rows });
    });
    this.pool = used;
    this.position = clamp(this.position, 0, Math.max(this.frames.length - 1, 0));
  }
  get frames() { return this.own ? this.own.frames || [] : this.told; }
  /** Show what the page has computed.
   * @param {any} own  @param {number} travel
   */
  show(own, travel) {
    const before = this.now();
    this.own = own;
    this.error = "";
    this.position = clamp(this.position, 0, Math.max(this.frames.length - 1, 0));
    this.goTo(before, travel);
  }
  /** Say that a picture is not to be had without a kernel. */
  miss() {
    this.error = "This combination is computed by Python: open the lesson in JupyterLab to see it.";
    this.tell();
  }
  /** Move from a picture to the one that is shown now.
   * @param {Picture} before  @param {number | undefined} travel
   */
  goTo(before, travel) {
    this.journey = travel && !CALM.matches ? { from: before, began: performance.now(), ms: travel } : null;
    this.tell();
    if (this.journey) this.travel();
  }
  /** @param {Content} content */
  hear(content) {
    if (content.program) { this.here?.take(content); return; }
    this.gestures.heard = true;
    const before = this.now();
    if (content.frames) this.mergeFrames(content.frames, content.pool || {});
    if (content.nodes || content.order) {
      const order = content.order || this.scene.order;
      /** @type {Nodes} */
      const nodes = {};
      for (const path of order) nodes[path] = content.nodes?.[path] ? { ...this.scene.nodes[path], ...content.nodes[path] } : this.scene.nodes[path];
      this.scene = { ...this.scene, nodes, order };
    }
    if (content.rows) this.scene = { ...this.scene, rows: content.rows };
    const worse = content.error !== undefined && content.error !== this.error;
    if (content.error !== undefined) this.error = content.error;
    this.seq = content.seq;
    if (this.here?.active) {
      this.here.follow(content.travel);
      if (worse) this.tell();
    } else {
      if (content.nodes || content.order || content.rows || content.frames) this.own = null;
      this.goTo(before, content.travel);
    }
    this.rest();
    if (content.answers !== undefined && content.answers === this.gestures.flying) this.fly();
  }
  travel() {
    requestAnimationFrame(() => {
      if (!this.journey) return;
      if (performance.now() - this.journey.began >= this.journey.ms) this.journey = null;
      else this.travel();
      this.tell();
    });
  }
  // What is to be painted: a picture, or something between two.
  /** @returns {Picture} */
  now() {
    const picture = this.frames.length ? this.among(this.position) : /** @type {Picture} */ (this.own) || this.scene;
    if (!this.journey) return picture;
    const t = clamp((performance.now() - this.journey.began) / this.journey.ms, 0, 1);
    return between(this.journey.from, picture, 1 - (1 - t) ** 3);
  }
  /** @param {number} position */
  among(position) {
    const k = Math.min(Math.floor(position + 1e-6), this.frames.length - 1);
    const t = position - k;
    return t < 1e-4 || k + 1 >= this.frames.length ? this.frames[k] : between(this.frames[k], this.frames[k + 1], t);
  }
  // Move to a frame, in `ms`; frames in between are passed.
  /** @param {number} to */
  glide(to, ms = CALM.matches ? 0 : 450) {
    this.gliding = null;
    if (Math.abs(to - this.position) < 1e-6) return;
    if (!ms) { this.position = to; this.tell(); return; }
    const glide = (this.gliding = { from: this.position, to, began: performance.now(), ms });
    const move = () => {
      if (this.gliding !== glide) return;
      const t = clamp((performance.now() - glide.began) / ms, 0, 1);
      this.position = glide.from + (to - glide.from) * t * t * (3 - 2 * t);
      this.tell();
      if (t < 1) requestAnimationFrame(move);
      else this.gliding = null;
    };
    requestAnimationFrame(move);
  }
  // The frame that is shown, or moved to.
  get aim() { return Math.round(this.gliding?.to ?? this.position); }
  /** @param {number} frame  @param {number} [ms] */
  go(frame, ms) {
    const to = clamp(Math.round(frame), 0, this.frames.length - 1);
    this.glide(to, ms);
    this.keep(to);
  }
  /** @param {number} frame */
  keep(frame) {
    if (this.model.get("frame") === frame) return;
    this.keeping = true; // its echo must not stop what moves there
    this.model.set("frame", frame);
    this.keeping = false;
    try { this.model.save_changes(); } catch { /* no kernel to tell */ }
  }
  // One gesture is under way at a time. What waits is the newest; of painting, all of it.
  /** Return whether it is followed in the page. @param {string} name  @param {number[]} values */
  gesture(name, values, append = false) {
    const { gestures } = this;
    if (this.here?.gesture(name, values, this.markOf(name))) return true;
    if (!gestures.heard) return false;
    const waiting = append && gestures.wanted?.name === name ? gestures.wanted.values : [];
    gestures.wanted = { name, values: [...waiting, ...values] };
    if (gestures.flying === null) this.fly();
    return false;
  }
  /** The part or mark with a name, as it is shown. @param {string} name */
  markOf(name) {
    const { nodes, order } = this.now();
    return nodes[order.find((path) => path === name || path.endsWith(`/${name}`)) ?? ""];
  }
  fly() {
    const { gestures } = this;
    gestures.flying = null;
    clearTimeout(this.patience);
    if (!gestures.wanted) return;
    const wanted = gestures.wanted;
    gestures.wanted = null;
    try { this.model.send({ type: "gesture", number: ++gestures.number, ...wanted }); } catch { return; }
    gestures.flying = gestures.number;
    // No answer: there is no kernel, or a busy one. Nothing can be dragged until something is heard from it.
    this.patience = setTimeout(() => {
      Object.assign(gestures, { wanted: null, flying: null, heard: false });
      this.ask();
      this.tell();
    }, 3000);
  }
  tell() { for (const view of this.views) view(); }
  ask() { try { this.model.send({ type: "state", seq: this.kept ?? -1 }); } catch { /* no kernel: the stored state is all there is */ } }
  // When the picture has come to rest, its state is fetched into the model: saved with the notebook, if it is saved at all.
  rest() { clearTimeout(this.resting); this.resting = setTimeout(() => this.ask(), 600); }
}
