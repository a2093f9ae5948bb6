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

/** A value that a program returned, as a control has it: numbers of a text are its digits. @param {any} value */
const plain = (value) => (value?.data ? Array.from(value.data).join("") : value);

/** @typedef {{ programs: Program[], waiting: boolean, refused: string, again: () => void }} Entry of one picture, or of one move for all choices */

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
    /** @type {Map<string, Entry>} */
    this.known = new Map();
    this.quiet = false;
    /** @type {Map<Control, { timer: number, tell: () => void }>} */
    this.untold = new Map();
    this.alone = false; // no kernel
    /** @type {{ move: string, reads: Record<string, any>, load: () => any }[]} */
    this.stored = []; // programs that lie in the model, until they are needed
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
        if (this.quiet) return;
        if (by?.updated_view && this.wiring.followers.includes(name)) this.lead(name);
        else this.run(!by?.updated_view && performance.now() < this.travel.until ? this.travel.ms : 0);
      });
    }
    const stored = model.get("_programs");
    if (stored) {
      this.alone = true;
      for (const program of stored.content) this.stored.push({ ...program, load: () => unpack(program, stored.buffers) });
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
  // All that is chosen: a picture is computed for these choices, whatever the traced controls say. A move has one key.
  key(move = "") {
    const chosen = Object.entries(this.wiring.controls).filter(([name, { traced }]) => !traced && name !== this.wiring.step);
    return JSON.stringify(move ? [move] : ["", ...chosen.map(([name]) => this.valueOf(name))]);
  }
  /** @param {string} key */
  entry(key) {
    let entry = this.known.get(key);
    if (!entry) this.known.set(key, (entry = { programs: [], waiting: false, refused: "", again: () => {} }));
    return entry;
  }
  /** Whether a program was recorded for what is chosen now. @param {{ reads: Record<string, any> }} program */
  fits({ reads }) { return Object.entries(reads).every(([name, value]) => this.valueOf(name) === value); }
  /** What a program makes of these numbers; null where there is none that can.
   * @param {string} key  @param {Record<string, any>} inputs
   */
  result(key, inputs) {
    const { programs } = this.entry(key);
    for (const [k, program] of programs.entries()) {
      const result = this.fits(program.told) ? program.at(inputs) : null;
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
      this.want("", [], () => this.run(travel));
    }
    const { refused } = this.entry(key);
    if (refused !== this.store.refused) {
      this.store.refused = refused;
      this.store.tell();
    }
  }
  /** Ask for a program: of a picture, or of what moves controls. `again` is called where it lies in the model.
   * @param {string} move  @param {number[]} values  @param {() => void} again
   */
  want(move, values, again) {
    const key = this.key(move);
    const entry = this.entry(key);
    entry.again = again;
    if (!this.alone && !Object.values(this.wiring.controls).some(({ traced }) => traced)) return;
    if (entry.waiting || entry.refused || entry.programs.filter(({ told }) => this.fits(told)).length >= VARIANTS) return;
    if (this.alone) { this.fetch(entry, move); return; }
    entry.waiting = true;
    try { this.store.model.send({ type: "program", key, move, values, state: this.state() }); } catch { this.alone = true; return; }
    setTimeout(() => { entry.waiting = false; }, PATIENCE);
  }
  /** Run a stored program; say so where there is none.
   * @param {Entry} entry  @param {string} move
   */
  async fetch(entry, move) {
    const found = this.stored.findIndex((one) => one.move === move && this.fits(one));
    if (found < 0) {
      if ((move || this.moved) && !entry.programs.some(({ told }) => this.fits(told))) this.store.miss();
      return;
    }
    const [{ load }] = this.stored.splice(found, 1);
    entry.waiting = true;
    entry.programs.unshift(await Program.load(load()));
    entry.waiting = false;
    entry.again();
  }
  /** @param {any} content */
  async take({ key, program }) {
    const entry = this.entry(key);
    if (program.failed) return; // not now: the kernel says why
    entry.waiting = false;
    if (program.refused) entry.refused = program.refused;
    else entry.programs.unshift(await Program.load(program));
    if (key === this.key()) this.run(0);
  }
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
    if (this.wiring.drags) wanted = this.led(name, values, () => this.store.gesture(name, values));
    else if (mark?.kind === "Handle") {
      wanted = Object.fromEntries([mark.x, mark.y].map((control, k) => [control, values[k]]).filter(([control]) => control));
    }
    if (!wanted) return this.alone;
    this.set(wanted);
    return true;
  }
  /** Where a move leads, control -> value; null where no program says so, or not yet.
   * @param {string} move  @param {number[]} values  @param {() => void} again
   */
  led(move, values, again) {
    const found = this.result(this.key(move), { ...this.state(), ...Object.fromEntries(values.map((value, k) => [`value ${k}`, value])) });
    if (!found) { this.want(move, values, again); return null; }
    const wanted = Object.entries(found).map(([name, value]) => [name, plain(value)]);
    const good = wanted.every(([name, value]) => this.controls[name] && (!this.isChoice(name) || this.wiring.controls[name].traced) && (typeof value === "string" || Number.isFinite(value)));
    return good ? Object.fromEntries(wanted) : null;
  }
  /** Move what follows a control. @param {string} name */
  lead(name) {
    const wanted = this.active || this.alone ? this.led(`follow ${name}`, [], () => this.lead(name)) : null;
    if (wanted) this.set(wanted);
    else this.run();
  }
  /** @param {string} name */
  preset(name) {
    if (!this.active && !this.alone) return false;
    const wanted = (name === "reset" ? this.wiring.reset : this.wiring.presets[name]) ?? this.led(`preset ${name}`, [], () => this.preset(name));
    if (!wanted) return this.alone;
    const before = this.state();
    this.quiet = true;
    this.put(wanted);
    this.quiet = false;
    const known = this.entry(this.key()).programs.length > 0;
    if (!known && !this.alone) {
      this.quiet = true;
      this.put(before);
      this.quiet = false;
      this.flush(); // the kernel hears of what was moved before it hears of the preset
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
