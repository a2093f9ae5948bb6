// @ts-check
// An explorer's picture computed in the page: controls -> program -> picture. The kernel hears where a control came to rest.
/** @import { Store } from "./store.js" */
/** @import { Control, Wiring } from "./types" */
import { Program } from "../../program/program.js";
import { clamp, unpack } from "./values.js";

const REST = 120; // milliseconds after which a control has come to rest
const PATIENCE = 3000; // until the kernel is taken to be gone
const VARIANTS = 8; // programs for one choice: what is computed may depend on where one is

/** Let what waits to be sent be what is there now: the kernel may have moved the control meanwhile. @param {Control} control */
function renew({ _buffered_state_diff: waiting = {}, attributes }) {
  for (const trait of Object.keys(waiting)) waiting[trait] = attributes[trait];
}

/**
 * What runs in the page in place of the kernel. Programs are asked for when a choice is first made, or lie in the model
 * (`_programs`) where there is no kernel. What cannot be computed here takes the way over the kernel.
 */
export class Here {
  /** @param {Store} store  @param {Wiring} wiring */
  constructor(store, wiring) {
    this.store = store;
    this.wiring = wiring;
    this.active = false;
    /** @type {Record<string, Control>} */
    this.controls = {};
    /** @type {Map<string, { programs: Program[], waiting: boolean, refused: string, values: number[] }>} */
    this.known = new Map();
    this.refused = new Set(); // names of marks whose drags the kernel has to follow
    this.quiet = false;
    /** @type {Map<Control, { timer: number, tell: () => void }>} */
    this.untold = new Map();
    this.alone = false; // no kernel
    /** @type {Map<string, () => any>} */
    this.stored = new Map(); // programs that lie in the model, by key, until they are needed
    this.moved = false; // whether anything has been: until then, what was stored is shown
    this.travel = { ms: 0, until: 0 };
  }
  async start() {
    const { model } = this.store;
    for (const [name, { model: id }] of Object.entries(this.wiring.controls)) {
      const control = (this.controls[name] = await model.widget_manager.get_model(id.slice("IPY_MODEL_".length)));
      const tell = control.save_changes.bind(control);
      control.save_changes = (/** @type {any[]} */ ...all) => {
        if (this.active) this.later(control, () => { renew(control); tell(...all); });
        else tell(...all);
      };
      control.on(this.isChoice(name) ? "change:index" : "change:value", (/** @type {any} */ _model, /** @type {any} */ _value, /** @type {any} */ by) => {
        this.moved = true;
        if (!this.quiet) this.run(!by?.updated_view && performance.now() < this.travel.until ? this.travel.ms : 0);
      });
    }
    const stored = model.get("_programs");
    if (stored) {
      this.alone = true;
      for (const { key, program } of stored.content) this.stored.set(key, () => unpack(program, stored.buffers));
    }
    this.run();
  }
  /** @param {string} name */
  isChoice(name) { return this.wiring.controls[name].kind === "choice"; }
  /** @param {string} name */
  valueOf(name) {
    if (name === this.wiring.step && this.store.frames.length) return this.store.aim;
    return this.controls[name].get(this.isChoice(name) ? "index" : "value");
  }
  state() { return Object.fromEntries(Object.keys(this.controls).map((name) => [name, this.valueOf(name)])); }
  // All that is chosen: a program computes for these choices, whatever the sliders say.
  key(drag = "") {
    const chosen = Object.entries(this.wiring.controls).filter(([name, { kind }]) => kind !== "slider" && (drag || name !== this.wiring.step));
    return JSON.stringify([drag, ...chosen.map(([name]) => this.valueOf(name))]);
  }
  /** @param {string} key */
  entry(key) {
    let entry = this.known.get(key);
    if (!entry) this.known.set(key, (entry = { programs: [], waiting: false, refused: "", values: [] }));
    return entry;
  }
  /** What a program makes of these numbers; null where there is none that can.
   * @param {string} key  @param {Record<string, number>} inputs
   */
  result(key, inputs) {
    const { programs } = this.entry(key);
    for (const [k, program] of programs.entries()) {
      const result = program.at(inputs);
      if (result) {
        if (k) programs.unshift(...programs.splice(k, 1));
        return result;
      }
    }
    return null;
  }
  // The kernel has gone somewhere by a preset: where its controls are now will be heard of, and is travelled to.
  /** @param {number | undefined} ms */
  follow(ms) { if (ms) this.travel = { ms, until: performance.now() + 300 }; }
  run(travel = 0) {
    const key = this.key();
    const result = this.result(key, this.state());
    this.active = result !== null;
    if (result) {
      this.hide(this.entry(key).programs[0].hidden);
      this.store.show(result, travel);
    } else {
      this.flush();
      this.want(key, "", [], travel);
    }
    const { refused } = this.entry(key);
    if (refused !== this.store.refused) {
      this.store.refused = refused;
      this.store.tell();
    }
  }
  /** @param {string} key  @param {string} drag  @param {number[]} values */
  want(key, drag, values, travel = 0) {
    const entry = this.entry(key);
    entry.values = values;
    if (!this.alone && !Object.values(this.wiring.controls).some(({ kind }) => kind === "slider")) return;
    if (entry.waiting || entry.refused || this.refused.has(drag) || entry.programs.length >= VARIANTS) return;
    if (this.alone) { this.fetch(key, drag, travel); return; }
    entry.waiting = true;
    try { this.store.model.send({ type: "program", key, drag, values, state: this.state() }); } catch { this.alone = true; return; }
    setTimeout(() => { entry.waiting = false; }, PATIENCE);
  }
  /** Run a stored program; say so where there is none.
   * @param {string} key  @param {string} drag  @param {number} travel
   */
  async fetch(key, drag, travel) {
    const entry = this.entry(key);
    const stored = this.stored.get(key);
    if (!stored) {
      if ((drag || this.moved) && !entry.programs.length) this.store.miss();
      return;
    }
    this.stored.delete(key);
    entry.waiting = true;
    await this.add(key, stored());
    entry.waiting = false;
    if (drag) this.store.gesture(drag, entry.values);
    else this.run(travel);
  }
  /** @param {any} content */
  async take({ key, program }) {
    const entry = this.entry(key);
    if (program.failed) return; // not now: the kernel says why
    entry.waiting = false;
    if (program.refused) {
      entry.refused = program.refused;
      const [drag] = JSON.parse(key);
      if (drag) this.refused.add(drag);
    } else await this.add(key, program);
    if (key === this.key()) this.run(0);
  }
  /** @param {string} key  @param {any} program */
  async add(key, program) { this.entry(key).programs.unshift(await Program.load(program)); }
  /** @param {string[]} names */
  hide(names) {
    for (const [name, { layout }] of Object.entries(this.wiring.controls)) {
      if (layout === undefined || !this.alone) continue;
      this.store.model.widget_manager.get_model(layout).then((/** @type {Control} */ one) => one.set("display", names.includes(name) ? "none" : null));
    }
  }
  // ---- what is dragged and clicked ----
  /** Move controls by what was dragged; false if the kernel has to, and there is one.
   * @param {string} name  @param {number[]} values  @param {any} mark
   */
  gesture(name, values, mark) {
    if (!this.active && !this.alone) return false;
    let wanted = null;
    if (this.wiring.drags) {
      const key = this.key(name);
      const inputs = Object.fromEntries(values.map((value, k) => [`value ${k}`, value]));
      wanted = this.result(key, { ...this.state(), ...inputs });
      if (!wanted) this.want(key, name, values);
    } else if (mark?.kind === "Handle") {
      wanted = Object.fromEntries([mark.x, mark.y].map((control, k) => [control, values[k]]).filter(([control]) => control));
    }
    if (!wanted || Object.entries(wanted).some(([control, value]) => !this.controls[control] || this.isChoice(control) || typeof value !== "number")) return this.alone;
    if (Object.values(wanted).every(Number.isFinite)) this.set(wanted);
    return true;
  }
  /** @param {string} name */
  preset(name) {
    const wanted = name === "reset" ? this.wiring.reset : this.wiring.presets[name];
    if (!(this.active || this.alone) || !wanted) return false;
    const before = this.state();
    this.quiet = true;
    this.put(wanted);
    this.quiet = false;
    const known = this.entry(this.key()).programs.length > 0;
    if (!known && !this.alone) {
      this.quiet = true;
      this.put(before);
      this.quiet = false;
      return false;
    }
    this.set(wanted, 450);
    return true;
  }
  /** @param {Record<string, any>} wanted */
  put(wanted) {
    for (const [name, value] of Object.entries(wanted)) {
      if (this.isChoice(name)) this.controls[name].set("index", value);
      else this.controls[name].set("value", this.nearest(name, value));
    }
  }
  /** @param {Record<string, any>} wanted */
  set(wanted, travel = 0) {
    this.quiet = true;
    this.put(wanted);
    this.quiet = false;
    this.run(travel);
    for (const name of Object.keys(wanted)) this.controls[name].save_changes();
  }
  /** The value of a slider that is nearest to a number: in its range, on its steps.
   * @param {string} name  @param {any} value
   */
  nearest(name, value) {
    const control = this.controls[name];
    const [low, high, step] = ["min", "max", "step"].map((trait) => control.get(trait));
    if (typeof value !== "number" || low === undefined) return value;
    return Number(clamp(low + Math.round((value - low) / step) * step, low, high).toFixed(10));
  }
  // ---- the kernel is told where things came to rest ----
  /** @param {Control} control  @param {() => void} tell */
  later(control, tell) {
    clearTimeout(this.untold.get(control)?.timer);
    this.untold.set(control, { tell, timer: setTimeout(() => { this.untold.delete(control); tell(); }, REST) });
  }
  flush() {
    for (const { timer, tell } of this.untold.values()) { clearTimeout(timer); tell(); }
    this.untold.clear();
  }
}
