// What the kernel sends, as the page has it: pictures of parts and marks, with arrays in place of tensors.
import type { Bitmaps } from "./marks.js";

/** An array of any dimension, row by row. */
export interface Numbers { data: Float32Array | Uint8Array | Float64Array | Int32Array; shape: number[] }
/** A role with one meaning in the whole course. */
export type Role = "z" | "x" | "neg" | "pos" | "ink" | "soft" | "rule";
export type Pair = [number, number];

interface MarkFields { visible: boolean; color: Role; toward?: Role | ""; shade?: number; links: string[]; front?: boolean; labels?: string[]; fade?: boolean }
export interface Density extends MarkFields { kind: "Density"; values: Numbers; extent: [number, number, number, number]; blend: boolean; fading?: number; next?: Density }
export interface Curves extends MarkFields { kind: "Curves"; points: Numbers; width: number; alpha: number; dash: boolean; fade: boolean }
export interface Area extends MarkFields { kind: "Area"; points: Numbers; alpha: number }
export interface Dots extends MarkFields { kind: "Dots"; points: Numbers; size: number; alpha: number; ring: boolean; labels: string[]; front: boolean }
export interface Arrows extends MarkFields { kind: "Arrows"; tails: Numbers; tips: Numbers; width: number; dash: boolean; head: boolean; gap: number; label: string }
export interface Bars extends MarkFields { kind: "Bars"; at: Numbers; heights: Numbers; width: number; base: number; signed: boolean; alpha: number }
export interface Label extends MarkFields { kind: "Label"; at: Numbers; text: string; angle: number | null; lift: number; shift: number; anchor: string; size: number; italic: boolean }
export interface Handle extends MarkFields { kind: "Handle"; at: Numbers; label: string; help: string; shape: "ring" | "dot" | "grip"; angle: number; step: number; value: string }
export type Mark = Density | Curves | Area | Dots | Arrows | Bars | Label | Handle;

interface PartFields { title: string; note: string; notes?: string[]; width: number; height: number; place: "main" | "side" | "corner"; aside: boolean; column: string }
export interface Plane extends PartFields { kind: "Plane" | "Chart"; x: Pair; y: Pair; ticks: number[]; fade: boolean; equal: boolean; xlabel: string; ylabel: string; yticks?: number[]; axis?: boolean; steps?: number[] }
export interface Matrix extends PartFields { kind: "Matrix"; values: Numbers; zero: Numbers | null; one: Numbers | null; rows: string[]; columns: string[]; notes: string[]; row_links: string[]; column_links: string[]; links: string[][] }
export interface Strip extends PartFields { kind: "Strip"; values: Numbers; dots: Numbers | null; labels: string[]; first: string; last: string; limit: number | null }
export interface Pixels extends PartFields {
  kind: "Pixels"; ink: Numbers; hue: Numbers | null; hues: Role[]; titles: string[]; per_row: number; lit: Numbers | null; chosen: Numbers | number | null; outline: Numbers | null;
  gesture: "" | "paint" | "pick" | "choose"; help: string; paintable: Numbers | null; border: number | null; border_help: string; order: Numbers | null; notes: string[]; words: string[]; lines: Numbers | null;
}
export type Part = Plane | Matrix | Strip | Pixels;

export interface Gauge { range: Pair; ticks: number[]; zone: Pair | null; word: string; value: number; given: number | null; color: Role }
/** A row of the readout: label, value, unit, note, bad, whether it stands under "more numbers", gauge. */
export type Row = [string, string, string, string, boolean, boolean, Gauge | null];

/** Path ("part", or "part/mark") -> fields. */
export type Nodes = Record<string, any>;
export interface Picture { nodes: Nodes; order: string[]; rows: Row[] }

/** A message, or what takes its place: only what has changed. With `frames`, arrays of nodes are `{"@": key of the pool}`. */
export interface Content {
  seq: number; program?: any; key?: string; nodes?: Nodes; order?: string[]; rows?: Row[]; error?: string; answers?: number; travel?: number; frames?: Picture[]; pool?: Record<string, Numbers>;
}

/** A control of ipywidgets. */
export interface Control extends Model {
  save_changes(...all: any[]): void;
  attributes: Record<string, any>;
  _buffered_state_diff?: Record<string, any>; // what waits to be sent
}
/** An explorer's controls, as the page computes with them. */
export interface Wiring {
  controls: Record<string, { model: string; layout?: string; kind: "slider" | "integer" | "choice" | "switch" | "hidden"; traced: boolean }>;
  step: string | null;
  drags: boolean;
  followers: string[]; // controls that others follow
  presets: Record<string, Record<string, any> | null>;
  reset: Record<string, any>;
}
/** A recorded function, see program.js. */
export interface Told {
  code: string; constants: Record<string, Numbers>; arrays: Numbers[]; inputs: string[]; masks: number[]; tree: any; texts: any[]; guards: [any, number][]; hidden: string[]; move: string; reads: Record<string, any>;
}

/** What anywidget hands over, or whatever stands in for it. */
export interface Model {
  get(name: string): any;
  set(name: string, value: any): void;
  save_changes(): void;
  send(content: object): void;
  widget_manager: { get_model(id: string): Promise<any> };
  on(event: string, handler: (...all: any[]) => void): void;
  off(event: string, handler: (...all: any[]) => void): void;
}

export type Color = number[];
export type Palette = Record<Role | "ground", Color> & { tint: number; font: string };
/** A word in the picture, beside a place, or still there. */
export interface Word {
  key: string; text: string; x: number; y: number; color: Role; italic: boolean; size: number; links: string[]; toward?: Pair;
  still?: boolean; angle?: number | null; lift?: number; shift?: number; anchor?: string;
}
/** Where marks are painted: `map` takes x to map[0] x + map[1], y to map[2] y + map[3], in pixels; `words` and `obstacles` are collected. */
export interface Frame {
  map: number[]; W: number; H: number; palette: Palette; lit: string[] | null; words: Word[]; obstacles: [number, number, number][]; bitmaps: Bitmaps; room: number;
}
