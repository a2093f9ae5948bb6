// The browser's side of LiveFigure: paints parts from arrays, and says what is dragged, painted and clicked.
// A plain ES module for anywidget; no dependency.

const TYPES = { uint8: Uint8Array, float32: Float32Array };
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// {"$": [number, dtype, shape]} stands for an array. The bytes are copied: a view must start at a multiple of its item size.
function unpack(node, buffers) {
  if (Array.isArray(node)) return node.map((item) => unpack(item, buffers));
  if (node === null || typeof node !== "object") return node;
  if (node.$) {
    const [index, dtype, shape] = node.$;
    const raw = buffers[index];
    const bytes = ArrayBuffer.isView(raw)
      ? raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength) : raw.slice(0);
    return { data: new TYPES[dtype](bytes), shape };
  }
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, unpack(value, buffers)]));
}
const unpackTrait = (trait) => (trait ? unpack(trait.content, trait.buffers) : {});
const written = (value, digits = 2) => (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "\u2212");

// ---- the model's side: what is shown, of any number of views ----

class Store {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.scene = { nodes: {}, order: [], rows: [] };
    this.frames = [];
    this.pool = {};
    this.position = 0; // among the frames; between two of them while it moves
    this.seq = -1;
    this.error = "";
    this.gestures = { number: 0, flying: null, wanted: null, heard: true };
    this.lit = null; // names that light up
    this.held = []; // names of the handle that is held: their rows and columns light up
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
    this.kept = state.seq; // what a saved notebook would hold
    if (state.seq < this.seq) return;
    const { nodes, order, rows, seq, error, help, alt, step, stops, autoplay, main } = state;
    Object.assign(this, { scene: { nodes, order, rows }, seq, error, help, alt, step, stops, autoplay, main });
    if (Math.abs(this.position - this.aim) < 1e-3) this.position = this.model.get("frame"); // unless it moves
    this.tell();
  }
  takeFrames() {
    const told = unpackTrait(this.model.get("_frames"));
    this.pool = {};
    this.mergeFrames(told.frames || [], told.pool || {});
  }
  mergeFrames(frames, fresh) {
    const pool = { ...this.pool, ...fresh };
    const used = {};
    const find = (value) => (value && value["@"] ? (used[value["@"]] = pool[value["@"]]) : value);
    this.frames = frames.map(({ nodes, order, rows }) => ({
      order, rows,
      nodes: Object.fromEntries(Object.entries(nodes).map(([path, node]) =>
        [path, Object.fromEntries(Object.entries(node).map(([name, value]) => [name, find(value)]))])),
    }));
    this.pool = used;
    this.position = clamp(this.position, 0, Math.max(this.frames.length - 1, 0));
  }
  hear(content) {
    this.gestures.heard = true;
    const before = this.now();
    if (content.frames) this.mergeFrames(content.frames, content.pool);
    if (content.nodes || content.order) {
      const order = content.order || this.scene.order;
      const nodes = {};
      for (const path of order) nodes[path] = { ...this.scene.nodes[path], ...content.nodes?.[path] };
      this.scene = { ...this.scene, nodes, order };
    }
    if (content.rows) this.scene = { ...this.scene, rows: content.rows };
    if (content.error !== undefined) this.error = content.error;
    this.seq = content.seq;
    this.journey = content.travel && !CALM.matches ? { from: before, began: performance.now(), ms: content.travel } : null;
    this.tell();
    if (this.journey) this.travel();
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
  now() {
    const picture = this.frames.length ? this.among(this.position) : this.scene;
    if (!this.journey) return picture;
    const t = clamp((performance.now() - this.journey.began) / this.journey.ms, 0, 1);
    return between(this.journey.from, picture, 1 - (1 - t) ** 3);
  }
  among(position) {
    const k = Math.min(Math.floor(position + 1e-6), this.frames.length - 1);
    const t = position - k;
    return t < 1e-4 || k + 1 >= this.frames.length ? this.frames[k] : between(this.frames[k], this.frames[k + 1], t);
  }
  // Move to a frame, in `ms`; frames in between are passed.
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
  go(frame, ms) {
    const to = clamp(Math.round(frame), 0, this.frames.length - 1);
    this.glide(to, ms);
    this.keep(to);
  }
  keep(frame) {
    if (this.model.get("frame") === frame) return;
    this.keeping = true; // its echo must not stop what moves there
    this.model.set("frame", frame);
    this.keeping = false;
    try { this.model.save_changes(); } catch { /* no kernel to tell */ }
  }
  // One gesture is under way at a time. What waits is the newest; of painting, all of it.
  gesture(name, values, append = false) {
    const { gestures } = this;
    if (!gestures.heard) return;
    const waiting = append && gestures.wanted?.name === name ? gestures.wanted.values : [];
    gestures.wanted = { name, values: [...waiting, ...values] };
    if (gestures.flying === null) this.fly();
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
  light(names) {
    if (String(names) === String(this.lit)) return;
    this.lit = names;
    this.tell();
  }
  tell() { for (const view of this.views) view(); }
  ask() { try { this.model.send({ type: "state", seq: this.kept ?? -1 }); } catch { /* no kernel: the stored state is all there is */ } }
  // When the picture has come to rest, its state is fetched into the model: saved with the notebook, if it is saved at all.
  rest() { clearTimeout(this.resting); this.resting = setTimeout(() => this.ask(), 600); }
}

// What is drawn between two pictures: points move along straight lines; a density fades out and the next one in.
function between(one, other, t) {
  const near = t < 0.5 ? one : other;
  const nodes = {};
  for (const path of near.order) {
    const [a, b] = [one.nodes[path], other.nodes[path]];
    if (!a || !b || a === b || a.kind !== b.kind) { nodes[path] = near.nodes[path]; continue; }
    if (a.kind === "Density") {
      nodes[path] = a.values === b.values ? near.nodes[path] : a.blend ? { ...a, fading: 1 - t, next: { ...b, fading: t } }
        : { ...near.nodes[path], fading: Math.max(0, 1 - 5 * Math.min(t, 1 - t)) };
      continue;
    }
    nodes[path] = { ...near.nodes[path] };
    if (a.kind === "Pixels" && b.order && a.ink.data.length === b.ink.data.length) {
      for (const name of ["ink", "hue"]) {
        const [from, to] = [a[name], b[name]];
        if (from && to && from !== to) nodes[path][name] = { data: to.data.map((v, i) => (b.order.data[i % b.order.data.length] < t ? v : from.data[i])), shape: to.shape };
      }
    }
    if (a.fixed || a.kind === "Pixels") continue;
    for (const [name, from] of Object.entries(a)) {
      const to = b[name];
      if (from === to || !to) continue;
      if (typeof from === "number" && typeof to === "number" && name !== "frame") nodes[path][name] = from + (to - from) * t;
      else if (from?.data instanceof Float32Array && to.data?.length === from.data.length) {
        nodes[path][name] = { data: from.data.map((v, i) => v + (to.data[i] - v) * t), shape: to.shape };
      }
    }
  }
  return { nodes, order: near.order, rows: near.rows };
}

// ---- helpers of the page ----

function element(tag, attributes = {}, parent = null) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) key === "text" ? (made.textContent = value) : made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}
function draw(tag, attributes = {}, parent = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  put(made, attributes);
  if (parent) parent.append(made);
  return made;
}
function put(one, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") { if (one.textContent !== value) one.textContent = value; }
    else if (one.getAttribute(key) !== String(value)) one.setAttribute(key, value);
  }
}

// "[u](x) and *J*": u in the colour of the role x, J as mathematics.
function speak(words, parent) {
  parent.replaceChildren();
  for (const piece of words.split(/(\[[^\]]+\]\(\w+\)|\*[^*]+\*)/)) {
    const role = piece.match(/^\[([^\]]+)\]\((\w+)\)$/);
    if (role) element("i", { class: `nfteach-${role[2]}`, text: role[1] }, parent);
    else if (/^\*.+\*$/.test(piece)) element("i", { text: piece.slice(1, -1) }, parent);
    else parent.append(piece);
  }
}

// Colours of the theme: read once, since reading forces a layout, and again when the theme changes.
const themes = { changed: 0 };
const themed = new Set();
let watching = false;
function watchThemes() {
  if (watching) return;
  watching = true;
  const repaint = () => { themes.changed += 1; for (const view of themed) view(); };
  // JupyterLab hides the page while it loads a theme: what has no size is not painted, and is painted a little later.
  const change = () => { repaint(); setTimeout(repaint, 300); };
  const observer = new MutationObserver(change);
  observer.observe(document.documentElement, { attributes: true });
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
}
const ROLES = ["z", "x", "neg", "pos", "ink", "soft", "rule", "ground"];
function paletteOf(root) {
  if (root.palette?.version === themes.changed) return root.palette;
  const style = getComputedStyle(root);
  const ctx = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const palette = { version: themes.changed, tint: Number(style.getPropertyValue("--tint")) || 0.5, font: style.fontFamily };
  if (!style.getPropertyValue("--z")) return { ...palette, ...Object.fromEntries(ROLES.map((role) => [role, [128, 128, 128]])) }; // not in the page yet
  for (const role of ROLES) {
    ctx.clearRect(0, 0, 1, 1);
    ctx.fillStyle = style.getPropertyValue(`--${role}`).trim() || "#888";
    ctx.fillRect(0, 0, 1, 1);
    palette[role] = Array.from(ctx.getImageData(0, 0, 1, 1).data.slice(0, 3));
  }
  return (root.palette = palette);
}
function rgb(palette, { color, toward, shade }) {
  const from = palette[color] || palette.ink;
  if (!toward || !shade) return from;
  return from.map((v, i) => Math.round(v + (palette[toward][i] - v) * shade));
}
const css = ([r, g, b], alpha = 1) => `rgba(${r},${g},${b},${alpha})`;

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.globalAlpha = 1;
  return ctx;
}

// The strength of cell k of n of a density, which dissolves at its own edge, too.
const soft = (k, n) => Math.min(1, (Math.min(k, n - 1 - k) + 0.5) / (0.06 * n));

const DIM = 0.16; // of marks that are not lit
const faded = (store, links) => store.lit && links?.length && !links.some((name) => store.lit.includes(name));

// Points of an array (lines, points, 2), or (points, 2) for one line.
const linesOf = ({ data, shape }) => (shape.length === 3 ? { data, count: shape[0], each: shape[1] } : { data, count: 1, each: shape[0] });

// What stands along the steps moves through them: a click goes to one, a drag through all. `place`: x in pixels -> among
// the frames; `nearest`: that -> the frame that is clicked.
function scrub(target, store, place, nearest = Math.round) {
  let from = null;
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
    store.position = at(event);
    store.tell();
  });
  target.addEventListener("pointerup", (event) => {
    if (!target.hasPointerCapture(event.pointerId)) return;
    const spot = at(event);
    if (from === null) store.go(spot, 150);
    else store.go(nearest(spot));
  });
}

// ---- Plane and Chart ----

class PlaneView {
  constructor(store, name, root) {
    Object.assign(this, { store, name, root });
    this.box = element("div", { class: "nfteach-part" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.pic = element("div", { class: "nfteach-pic" }, this.box);
    this.back = element("canvas", { class: "nfteach-canvas", "aria-hidden": "true" }, this.pic);
    this.front = element("canvas", { class: "nfteach-canvas nfteach-front", "aria-hidden": "true" }, this.pic);
    this.svg = draw("svg", { role: "group" }, this.pic);
    this.layers = { ticks: draw("g", {}, this.svg), words: draw("g", {}, this.svg), handles: draw("g", {}, this.svg) };
    this.handles = new Map();
    this.words = new Map();
    this.held = null;
    scrub(this.svg, store, (x) => this.along(x));
  }
  // Data to pixels.
  fit({ x: [x0, x1], y: [y0, y1], equal, xlabel, yticks, ticks }) {
    const [W, H] = [this.pic.clientWidth, this.pic.clientHeight];
    Object.assign(this, { W, H });
    if (equal) {
      const scale = Math.min(W / (x1 - x0), H / (y1 - y0));
      this.map = [scale, W / 2 - (scale * (x0 + x1)) / 2, -scale, H / 2 + (scale * (y0 + y1)) / 2];
      return;
    }
    const [left, bottom] = [yticks?.length ? 34 : 8, ticks.length || xlabel ? 20 : 4];
    const [ax, ay] = [(W - left - 10) / (x1 - x0), -(H - bottom - 10) / (y1 - y0)];
    this.map = [ax, left - ax * x0, ay, 10 - ay * y1];
  }
  X(x) { return this.map[0] * x + this.map[1]; }
  Y(y) { return this.map[2] * y + this.map[3]; }
  // Where among the frames a chart's x in pixels stands; null where it has no steps.
  along(px) {
    const steps = this.steps;
    if (!steps?.length) return null;
    const x = this.at(px, 0)[0];
    const k = steps.findLastIndex((step) => step <= x);
    return k < 0 ? 0 : k + 1 >= steps.length ? steps.length - 1 : k + (x - steps[k]) / (steps[k + 1] - steps[k]);
  }
  at(px, py) { return [(px - this.map[1]) / this.map[0], (py - this.map[3]) / this.map[2]]; }

  draw(node, marks) {
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    this.box.style.setProperty("--h", `${node.height}px`);
    this.box.style.setProperty("--ratio", node.width / node.height);
    this.back.classList.toggle("nfteach-fades", node.fade);
    this.steps = node.steps;
    this.svg.classList.toggle("nfteach-scrubs", Boolean(node.steps?.length));
    this.fit(node);
    if (!this.W || !this.H) return;
    this.palette = paletteOf(this.root);
    const [back, front] = [sized(this.back, this.W, this.H), sized(this.front, this.W, this.H)];
    this.obstacles = [];
    this.labels = [];
    this.taken = new Set();
    for (const [name, mark] of marks) {
      if (!mark.visible) continue;
      // Wedges at the frame's edge must not dissolve with it.
      const clear = mark.kind === "Arrows" || mark.kind === "Handle" || mark.front || mark.labels?.length || mark.fade === false;
      const ctx = clear ? front : back;
      ctx.save();
      ctx.globalAlpha = faded(this.store, mark.links) ? DIM : 1;
      this[`draw${mark.kind}`]?.(ctx, mark, name);
      ctx.restore();
    }
    this.ticks(node);
    this.place();
    for (const [name, handle] of this.handles) if (!this.taken.has(name)) { handle.remove(); this.handles.delete(name); }
    this.front.dataset.seq = this.back.dataset.seq = this.store.seq;
  }
  drawDensity(ctx, mark) {
    const [rows, columns] = mark.values.shape;
    const held = (this.held_images ||= new Map());
    const image = held.get(mark.values) || null;
    const color = rgb(this.palette, mark);
    const key = `${color},${this.palette.tint}`;
    let canvas = image?.key === key ? image.canvas : null;
    if (!canvas) {
      if (held.size > 40) held.clear();
      canvas = new OffscreenCanvas(columns, rows);
      const pixels = new ImageData(columns, rows);
      const words = new Uint32Array(pixels.data.buffer);
      const word = color[0] | (color[1] << 8) | (color[2] << 16);
      const { data } = mark.values;
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const alpha = Math.round(this.palette.tint * data[row * columns + column] * soft(row, rows) * soft(column, columns));
          words[(rows - 1 - row) * columns + column] = (word | (alpha << 24)) >>> 0;
        }
      }
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      held.set(mark.values, { key, canvas });
    }
    const [left, right, bottom, top] = mark.extent;
    const alpha = ctx.globalAlpha;
    ctx.globalAlpha *= mark.fading ?? 1;
    ctx.imageSmoothingEnabled = true;
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(canvas, this.X(left), this.Y(top), this.X(right) - this.X(left), this.Y(bottom) - this.Y(top));
    if (mark.next) {
      ctx.globalAlpha = alpha;
      this.drawDensity(ctx, mark.next);
    }
  }
  trace(ctx, { data, count, each }) {
    const [a, b, c, d] = this.map;
    ctx.beginPath();
    for (let line = 0, i = 0; line < count; line++) {
      ctx.moveTo(a * data[i] + b, c * data[i + 1] + d);
      i += 2;
      for (let k = 1; k < each; k++, i += 2) ctx.lineTo(a * data[i] + b, c * data[i + 1] + d);
    }
  }
  drawCurves(ctx, mark) {
    this.trace(ctx, linesOf(mark.points));
    ctx.strokeStyle = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.lineWidth = mark.width;
    ctx.lineJoin = "round";
    ctx.setLineDash(mark.dash ? [3, 4] : []);
    ctx.stroke();
  }
  drawArea(ctx, mark) {
    this.trace(ctx, linesOf(mark.points));
    ctx.fillStyle = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.fill("evenodd");
  }
  drawDots(ctx, mark, name) {
    const { data } = mark.points;
    const [a, b, c, d] = this.map;
    const color = css(rgb(this.palette, mark));
    ctx.globalAlpha *= mark.alpha;
    ctx.beginPath();
    for (let i = 0; i < data.length; i += 2) {
      let [x, y] = [a * data[i] + b, c * data[i + 1] + d];
      const label = mark.labels[i / 2];
      if (label !== undefined) {
        [x, y] = this.inside(ctx, x, y, color);
        if (label) this.labels.push({ key: `${name}.${i}`, text: label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
        this.obstacles.push([x, y, mark.size + 2]);
      }
      ctx.moveTo(x + mark.size, y);
      ctx.arc(x, y, mark.size, 0, 7);
    }
    ctx.fillStyle = mark.ring ? css(this.palette.ground) : color;
    if (mark.front && !mark.ring) { ctx.strokeStyle = css(this.palette.ground); ctx.lineWidth = 3; ctx.stroke(); }
    ctx.fill();
    if (mark.ring) { ctx.strokeStyle = color; ctx.lineWidth = 2; ctx.stroke(); }
  }
  // A place that leaves the frame is shown at its edge, by a wedge that points at it.
  inside(ctx, x, y, color) {
    const pad = 14;
    const [px, py] = [clamp(x, pad, this.W - pad), clamp(y, pad, this.H - pad)];
    if (px === x && py === y) return [x, y];
    const angle = Math.atan2(y - py, x - px);
    ctx.save();
    ctx.translate(px, py);
    ctx.rotate(angle);
    ctx.beginPath();
    ctx.moveTo(13, 0); ctx.lineTo(8, -4.5); ctx.lineTo(8, 4.5); ctx.closePath();
    ctx.fillStyle = color;
    ctx.fill();
    ctx.restore();
    ctx.beginPath();
    return [px, py];
  }
  drawArrows(ctx, mark, name) {
    const color = css(rgb(this.palette, mark));
    for (let i = 0; i < mark.tails.data.length; i += 2) {
      const [x0, y0] = [this.X(mark.tails.data[i]), this.Y(mark.tails.data[i + 1])];
      let [x1, y1] = [this.X(mark.tips.data[i]), this.Y(mark.tips.data[i + 1])];
      const length = Math.hypot(x1 - x0, y1 - y0);
      if (mark.label) this.labels.push({ key: name, text: mark.label, x: x1, y: y1, color: mark.color, italic: true, size: 16, links: mark.links, toward: [x1 - x0, y1 - y0] });
      if (length < mark.gap + 3) continue;
      const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
      [x1, y1] = [x1 - ux * mark.gap, y1 - uy * mark.gap];
      for (let k = 0; k <= 8; k++) this.obstacles.push([x0 + ((x1 - x0) * k) / 8, y0 + ((y1 - y0) * k) / 8, 4]);
      const head = mark.head ? Math.min(9, length - mark.gap) : 0;
      const stroke = (style, width) => {
        ctx.beginPath();
        ctx.moveTo(x0, y0);
        ctx.lineTo(x1 - ux * head * 0.8, y1 - uy * head * 0.8);
        ctx.strokeStyle = style;
        ctx.lineWidth = width;
        ctx.stroke();
      };
      const alpha = ctx.globalAlpha;
      ctx.globalAlpha = 0.7 * alpha;
      stroke(css(this.palette.ground), mark.width + 3);
      ctx.globalAlpha = alpha;
      ctx.setLineDash(mark.dash ? [3, 3] : []);
      stroke(color, mark.width);
      ctx.setLineDash([]);
      if (!head) continue;
      const half = Math.max(4.5, mark.width * 1.6);
      ctx.beginPath();
      ctx.moveTo(x1, y1);
      ctx.lineTo(x1 - ux * head - uy * half, y1 - uy * head + ux * half);
      ctx.lineTo(x1 - ux * head + uy * half, y1 - uy * head - ux * half);
      ctx.closePath();
      ctx.fillStyle = color;
      ctx.fill();
    }
  }
  drawBars(ctx, mark) {
    const { palette } = this;
    ctx.globalAlpha *= mark.alpha;
    for (let i = 0; i < mark.heights.data.length; i++) {
      const height = mark.heights.data[i];
      const [x0, x1] = [this.X(mark.at.data[i] - mark.width / 2), this.X(mark.at.data[i] + mark.width / 2)];
      const [y0, y1] = [this.Y(mark.base), this.Y(height)];
      ctx.fillStyle = css(mark.signed ? palette[height < mark.base ? "neg" : "pos"] : rgb(palette, mark));
      ctx.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
  }
  drawLabel(ctx, mark, name) {
    const [x, y] = [this.X(mark.at.data[0]), this.Y(mark.at.data[1])];
    this.labels.push({ key: name, text: mark.text, x, y, color: mark.color, italic: mark.italic, size: mark.size, angle: mark.angle, lift: mark.lift, shift: mark.shift, anchor: mark.anchor, still: true, links: mark.links });
  }
  drawHandle(ctx, mark, name) {
    const color = css(rgb(this.palette, mark));
    const [x, y] = this.inside(ctx, this.X(mark.at.data[0]), this.Y(mark.at.data[1]), color);
    this.taken.add(name);
    let handle = this.handles.get(name);
    if (!handle) this.handles.set(name, (handle = this.handle(name)));
    handle.mark = mark;
    handle.spot = [x, y];
    const live = this.store.gestures.heard;
    handle.setAttribute("class", `nfteach-handle nfteach-${mark.color} nfteach-${mark.shape}${this.held?.name === name ? " nfteach-held" : ""}${live ? "" : " nfteach-dead"}`);
    const turn = mark.shape === "grip" ? ` rotate(${-mark.angle})` : "";
    put(handle, {
      transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})${turn}`,
      "aria-label": `${mark.label || name}: ${mark.help || "drag, or use the arrow keys"}`,
      "aria-valuetext": mark.value || `${written(mark.at.data[0])}, ${written(mark.at.data[1])}`,
      opacity: faded(this.store, mark.links) ? DIM : 1,
    });
    handle.title.textContent = mark.help || "";
    this.obstacles.push([x, y, 10]);
    if (mark.label) this.labels.push({ key: `${name}.name`, text: mark.label, x, y, color: mark.color, italic: true, size: 16, links: mark.links });
  }
  handle(name) {
    const g = draw("g", { tabindex: 0, role: "slider", "aria-valuenow": 0 }, this.layers.handles);
    g.title = draw("title", {}, g);
    draw("circle", { class: "nfteach-hit", r: 22 }, g);
    draw("circle", { class: "nfteach-focus", r: 14 }, g);
    draw("circle", { class: "nfteach-shape", r: 7 }, g);
    draw("rect", { class: "nfteach-shape", x: -9, y: -5, width: 18, height: 10, rx: 5 }, g);
    const spot = (event) => {
      const box = this.pic.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const send = (px, py) => this.store.gesture(name, this.at(clamp(px, 0, this.W), clamp(py, 0, this.H)));
    g.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      g.focus({ focusVisible: false, preventScroll: true });
      g.setPointerCapture(event.pointerId);
      const [x, y] = spot(event);
      this.held = { name, dx: g.spot[0] - x, dy: g.spot[1] - y };
      this.store.held = g.mark.links;
      this.store.tell();
    });
    g.addEventListener("pointermove", (event) => {
      if (this.held?.name !== name || !g.hasPointerCapture(event.pointerId)) return;
      const [x, y] = spot(event);
      send(x + this.held.dx, y + this.held.dy);
    });
    g.addEventListener("lostpointercapture", () => { this.held = null; this.store.held = []; this.store.tell(); });
    g.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      const step = g.mark.step * (event.shiftKey ? 5 : 1);
      this.store.gesture(name, [g.mark.at.data[0] + by[0] * step, g.mark.at.data[1] + by[1] * step]);
    });
    return g;
  }
  ticks(node) {
    const wanted = [];
    const [x0, x1] = node.x;
    const [y0, y1] = node.y;
    if (node.equal) {
      for (const v of node.ticks) {
        wanted.push([this.X(v), this.H - 4, written(v, v % 1 ? 1 : 0), "middle"], [2, this.Y(v) + 4, written(v, v % 1 ? 1 : 0), "start"]);
      }
      if (node.xlabel) wanted.push([this.W - 6, this.H - 4, node.xlabel, "end", "m"]);
      if (node.ylabel) wanted.push([2, 14, node.ylabel, "start", "m"]);
    } else {
      for (const v of node.ticks) if (v >= x0 && v <= x1) wanted.push([this.X(v), this.H - 4, written(v, v % 1 ? 1 : 0), "middle"]);
      for (const v of node.yticks || []) wanted.push([this.X(x0) - 6, this.Y(v) + 4, written(v, v % 1 ? (Math.abs(v * 10 - Math.round(v * 10)) > 1e-6 ? 2 : 1) : 0), "end"]);
      if (node.xlabel) wanted.push([this.W - 6, this.H - 4, node.xlabel, "end", "m"]);
      if (node.ylabel) wanted.push([2, 9, node.ylabel, "start", "m"]);
    }
    const key = JSON.stringify([wanted, this.W, this.H, node.axis]);
    if (this.ticked === key) return;
    this.ticked = key;
    this.layers.ticks.replaceChildren();
    if (node.axis) draw("line", { x1: this.X(x0), x2: this.X(x1), y1: this.Y(Math.max(y0, Math.min(0, y1))), y2: this.Y(Math.max(y0, Math.min(0, y1))), class: "nfteach-axis" }, this.layers.ticks);
    for (const [x, y, text, anchor, kind] of wanted) {
      draw("text", { x, y, text, "text-anchor": anchor, class: kind ? "nfteach-axis-name" : "nfteach-tick" }, this.layers.ticks);
    }
  }
  // Names stand beside their things, where they cover nothing; each stays where it was unless it has to move.
  place() {
    const seen = new Set();
    const boxes = [];
    this.turns ||= new Map();
    for (const one of this.labels) {
      const width = measure(one.text, one.size, this.palette.font) + 4;
      const height = one.size + 4;
      seen.add(one.key);
      let spot = [one.x, one.y];
      const ahead = { start: width / 2 - 2, end: 2 - width / 2 }[one.anchor] || 0; // from its place to its middle
      if (one.still && one.angle === null) spot = [clamp(one.x + one.shift + ahead, width / 2, this.W - width / 2), clamp(one.y, height / 2, this.H - height / 2)];
      if (!one.still) {
        const away = one.toward ? Math.atan2(one.toward[1], one.toward[0]) : -0.7;
        const before = this.turns.get(one.key);
        let best = null;
        for (let k = 0; k < 12; k++) {
          const turn = away + (k % 2 ? 1 : -1) * Math.ceil(k / 2) * (Math.PI / 6);
          const far = 14 + Math.abs(Math.cos(turn)) * (width / 2) + Math.abs(Math.sin(turn)) * (height / 2 - 2);
          const [x, y] = [one.x + far * Math.cos(turn), one.y + far * Math.sin(turn)];
          const box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
          let cost = 0.02 * k + (before !== undefined && Math.abs(Math.cos(turn - before) - 1) > 0.02 ? 0.3 : 0);
          cost += 4 * (box[0] < 0) + 4 * (box[1] < 0) + 4 * (box[2] > this.W) + 4 * (box[3] > this.H);
          for (const [ox, oy, r] of this.obstacles) if (ox + r > box[0] && ox - r < box[2] && oy + r > box[1] && oy - r < box[3]) cost += 1;
          for (const other of boxes) if (box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]) cost += 6;
          if (!best || cost < best.cost) best = { cost, turn, x, y };
        }
        this.turns.set(one.key, best.turn);
        spot = [best.x, best.y];
      }
      boxes.push([spot[0] - width / 2, spot[1] - height / 2, spot[0] + width / 2, spot[1] + height / 2]);
      let word = this.words.get(one.key);
      if (!word) this.words.set(one.key, (word = draw("text", { "text-anchor": "middle", "dominant-baseline": "central" }, this.layers.words)));
      const turned = one.still && one.angle !== null && one.angle !== undefined ? ` rotate(${readable(-Math.atan2(this.map[2] * Math.sin((one.angle * Math.PI) / 180) * -1, this.map[0] * Math.cos((one.angle * Math.PI) / 180)) * (180 / Math.PI))})` : "";
      put(word, {
        text: one.text, class: `nfteach-word nfteach-${one.color}${one.italic ? " nfteach-m" : ""}`, style: `font-size:${one.size}px`,
        x: turned ? one.shift + ahead : 0, y: one.still ? -one.lift : 0,
        transform: `translate(${spot[0].toFixed(1)} ${spot[1].toFixed(1)})${turned}`, opacity: faded(this.store, one.links) ? DIM : 1,
      });
    }
    for (const [key, word] of this.words) if (!seen.has(key)) { word.remove(); this.words.delete(key); }
  }
}
const readable = (degrees) => (degrees > 90 ? degrees - 180 : degrees < -90 ? degrees + 180 : degrees).toFixed(1);

const measured = new Map();
let ruler = null;
function measure(text, size, font) {
  const key = `${size} ${font} ${text}`;
  if (!measured.has(key)) {
    ruler ||= new OffscreenCanvas(1, 1).getContext("2d");
    ruler.font = `italic 600 ${size}px ${font}`;
    measured.set(key, ruler.measureText(text).width);
  }
  return measured.get(key);
}

// ---- Matrix ----

class MatrixView {
  constructor(store, name, root) {
    Object.assign(this, { store, name, root });
    this.box = element("div", { class: "nfteach-part nfteach-matrix" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.canvas = element("canvas", { class: "nfteach-canvas", role: "application", tabindex: 0 }, this.box);
    this.lit = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => this.light(null));
    this.canvas.addEventListener("blur", () => this.light(null));
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!by) return;
      event.preventDefault();
      const [i, j] = this.lit || [0, -by[1] || 0];
      this.light([clamp(i + by[0], 0, this.rows - 1), clamp(j + by[1], 0, this.columns - 1)]);
    });
  }
  point(x, y) {
    const [i, j] = [Math.floor((y - this.top) / this.cellH), Math.floor((x - this.left) / this.cellW)];
    this.light(i >= 0 && j >= 0 && i < this.rows && j < this.columns ? [i, j] : null);
  }
  light(entry) {
    if (String(entry) === String(this.lit)) return;
    this.lit = entry;
    const { row_links, column_links, links, values } = this.node;
    const own = entry && links[entry[0] * values.shape[1] + entry[1]];
    const names = own || (entry ? [row_links[entry[0]], column_links[entry[1]]].filter(Boolean) : []);
    this.store.lit = names.length ? names : null;
    this.store.tell();
  }
  draw(node) {
    this.node = node;
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    const [rows, columns] = node.values.shape;
    Object.assign(this, { rows, columns });
    const palette = paletteOf(this.root);
    this.left = node.rows.length ? 8 + Math.max(...node.rows.map((text) => measure(text, 14, palette.font))) : 1;
    this.top = node.columns.length ? 22 : 1;
    const width = Math.min(this.box.clientWidth || node.width, node.width);
    this.cellW = (width - this.left - 1) / columns;
    this.cellH = Math.min(this.cellW, (node.height - this.top) / rows);
    const height = this.top + this.cellH * rows + 1;
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const ctx = sized(this.canvas, width, height);
    const font = clamp(this.cellW / 3.4, 9, 14);
    const numbers = this.cellW >= 29 && this.cellH >= 17;
    const gap = this.cellW > 14 ? 1.5 : this.cellW > 5 ? 0.5 : 0;
    const held = this.lit ? [] : [...(this.store.lit || []), ...this.store.held];
    const heldColumn = node.column_links.findIndex((name) => held.includes(name));
    const heldRow = node.row_links.findIndex((name) => held.includes(name));
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const k = i * columns + j;
        const value = node.values.data[k];
        const [x, y] = [this.left + j * this.cellW, this.top + i * this.cellH];
        const [zero, one] = [node.zero?.data[k], node.one?.data[k]];
        const on = this.lit ? this.lit[0] === i && this.lit[1] === j : heldColumn === j || heldRow === i;
        const cross = this.lit && (this.lit[0] === i || this.lit[1] === j);
        ctx.globalAlpha = (this.lit && !on && !cross) || ((heldColumn >= 0 || heldRow >= 0) && !this.lit && !on) ? 0.35 : 1;
        const shape = () => { ctx.beginPath(); ctx.roundRect(x + gap, y + gap, this.cellW - 2 * gap, this.cellH - 2 * gap, gap ? 2 : 0); };
        if (!zero && !one) {
          shape();
          ctx.fillStyle = css(palette[value < 0 ? "neg" : "pos"], (0.78 * Math.abs(value)) / (1 + Math.abs(value)));
          ctx.fill();
        }
        if (gap > 1 && !zero) { shape(); ctx.strokeStyle = css(palette.rule); ctx.lineWidth = 1; ctx.stroke(); }
        if (on && this.lit) { shape(); ctx.strokeStyle = css(palette.ink); ctx.lineWidth = 2; ctx.stroke(); }
        const text = zero ? "\u00b7" : one ? "1" : numbers ? written(value, Math.abs(value) >= 99.5 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2) : "";
        if (text && (numbers || this.cellW >= 9)) {
          ctx.font = `${one ? 700 : 400} ${zero ? font + 3 : font}px ${palette.font}`;
          ctx.fillStyle = css(zero ? palette.soft : palette.ink);
          ctx.fillText(text, x + this.cellW / 2, y + this.cellH / 2 + 1);
        }
      }
    }
    ctx.font = `italic 600 14px ${palette.font}`;
    node.rows.forEach((text, i) => {
      ctx.textAlign = "right";
      ctx.globalAlpha = this.lit && this.lit[0] !== i ? 0.45 : 1;
      ctx.fillStyle = css(palette.soft);
      ctx.fillText(text, this.left - 6, this.top + (i + 0.5) * this.cellH);
    });
    node.columns.forEach((text, j) => {
      ctx.textAlign = "center";
      ctx.globalAlpha = this.lit && this.lit[1] !== j ? 0.45 : 1;
      ctx.fillStyle = css(palette.soft);
      ctx.fillText(text, this.left + (j + 0.5) * this.cellW, 11);
    });
    this.note = this.lit && node.notes.length ? node.notes[this.lit[0] * columns + this.lit[1]] : "";
    const entries = Array.from(node.values.data, (value) => written(value));
    const words = rows * columns <= 36 ? Array.from({ length: rows }, (_, i) => entries.slice(i * columns, (i + 1) * columns).join(", ")).join("; ") : "";
    const here = this.lit && `row ${this.lit[0] + 1}, column ${this.lit[1] + 1}: ${entries[this.lit[0] * columns + this.lit[1]]} ${this.note}`;
    put(this.canvas, { "aria-label": here || `${node.title || this.name}, ${rows} by ${columns}: ${words}` });
    this.canvas.dataset.seq = this.store.seq;
  }
}

// ---- Gauge: the line on which a number of the readout stands ----

function showGauge(svg, node, width = 264) {
  const X = (v) => 8 + clamp((v - node.range[0]) / (node.range[1] - node.range[0]), 0, 1) * (width - 16);
  const key = JSON.stringify([node.range, node.zone, node.word, node.ticks, width]);
  if (svg.key !== key) {
    svg.key = key;
    svg.replaceChildren();
    put(svg, { width, height: 40 });
    if (node.zone) {
      draw("rect", { x: X(node.zone[0]), width: X(node.zone[1]) - X(node.zone[0]), y: 9, height: 6, class: "nfteach-zone" }, svg);
      draw("text", { x: X(node.zone[0]), y: 34, class: "nfteach-tick nfteach-neg", text: node.word }, svg);
    }
    draw("line", { x1: X(node.range[0]), x2: X(node.range[1]), y1: 12, y2: 12, class: "nfteach-axis" }, svg);
    for (const edge of node.zone || []) if (edge > node.range[0] && edge < node.range[1]) draw("line", { x1: X(edge), x2: X(edge), y1: 5, y2: 19, class: "nfteach-edge" }, svg);
    for (const v of node.ticks) draw("text", { x: X(v), y: 34, "text-anchor": "middle", class: "nfteach-tick", text: written(v, v % 1 ? 1 : 0) }, svg);
    svg.pale = draw("circle", { r: 5.5, cy: 12, opacity: 0.4 }, svg);
    svg.dot = draw("circle", { r: 5.5, cy: 12 }, svg);
  }
  put(svg.dot, { cx: X(node.value), class: `nfteach-fill-${node.color}` });
  put(svg.pale, { cx: X(node.given ?? node.value), class: `nfteach-fill-${node.color}`, visibility: node.given === null ? "hidden" : "visible" });
}

// ---- Strip: bars, one a step, and the step that is shown ----

class StripView {
  constructor(store, name, root) {
    Object.assign(this, { store, name, root });
    this.box = element("div", { class: "nfteach-part nfteach-strip" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.svg = draw("svg", { "aria-hidden": "true" }, this.box);
    // A click goes to the bar's own step, and to the start left of the first bar's first quarter.
    scrub(this.svg, store, (x) => this.place(x), (spot) => (spot < 0.25 ? 0 : Math.ceil(spot)));
  }
  place(x) { return clamp((x - this.left) / this.each, 0, this.n); }
  draw(node) {
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    const width = this.box.clientWidth || node.width;
    const n = (this.n = node.values.shape[0]);
    const height = node.height - 18;
    const left = (this.left = node.first ? 18 : 8);
    const each = (this.each = (width - left - (node.last ? 18 : 8)) / n);
    const limit = node.limit || Math.max(1e-9, ...node.values.data.map(Math.abs), ...(node.dots ? node.dots.data.map(Math.abs) : []));
    const middle = height / 2 + 2;
    const Y = (v) => middle - clamp(v / limit, -1, 1) * (height / 2 - 6);
    if (this.key !== `${n},${width}`) {
      this.key = `${n},${width}`;
      this.svg.replaceChildren();
      put(this.svg, { width, height: node.height });
      this.bars = Array.from({ length: n }, () => draw("rect", {}, this.svg));
      draw("line", { x1: left, x2: left + n * each, y1: middle, y2: middle, class: "nfteach-axis" }, this.svg);
      this.done = draw("line", { x1: left, y1: middle, y2: middle, class: "nfteach-done" }, this.svg);
      this.rings = Array.from({ length: n }, () => draw("path", { class: "nfteach-dot" }, this.svg));
      this.names = Array.from({ length: n + 2 }, () => draw("text", { y: node.height - 4, "text-anchor": "middle" }, this.svg));
      this.knob = draw("circle", { r: 8, cy: middle, class: "nfteach-knob" }, this.svg);
    }
    const position = this.store.frames.length ? this.store.position : 0;
    const now = Math.round(position);
    for (let k = 0; k < n; k++) {
      const value = node.values.data[k];
      const [y0, y1] = [Math.min(middle, Y(value)), Math.max(middle, Y(value))];
      put(this.bars[k], { x: left + k * each + 0.06 * each, width: 0.88 * each, y: y0, height: Math.max(y1 - y0, 0.5), class: `nfteach-fill-${value < 0 ? "neg" : "pos"}`, opacity: k < position - 0.5 ? 0.75 : 0.28 });
      if (node.dots) {
        // A ring; beyond the strip's edge a wedge that points there.
        const far = Math.abs(node.dots.data[k]) > limit ? Math.sign(node.dots.data[k]) : 0;
        const shape = far ? `m-4 ${3 * far}l4 ${-7 * far}l4 ${7 * far}z` : "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z";
        put(this.rings[k], { d: `M${(left + (k + 0.5) * each).toFixed(1)} ${Y(node.dots.data[k]).toFixed(1)}${shape}` });
      }
      const many = n > 24 && (k + 1) % Math.ceil(n / 12);
      put(this.names[k], { x: left + (k + 0.5) * each, text: many ? "" : node.labels[k] ?? String(k + 1), class: `nfteach-tick${k + 1 === now ? " nfteach-here" : ""}` });
    }
    put(this.names[n], { x: 7, text: node.first, class: "nfteach-tick nfteach-z nfteach-m" });
    put(this.names[n + 1], { x: width - 8, text: node.last, class: "nfteach-tick nfteach-x nfteach-m" });
    put(this.done, { x2: left + position * each });
    put(this.knob, { cx: left + position * each });
  }
}

// ---- Pixels ----

class PixelsView {
  constructor(store, name, root) {
    Object.assign(this, { store, name, root });
    this.box = element("div", { class: "nfteach-part nfteach-pixels" });
    this.heading = element("div", { class: "nfteach-title" }, this.box);
    this.pic = element("div", { class: "nfteach-images" }, this.box);
    this.canvas = element("canvas", { class: "nfteach-canvas", role: "img" }, this.pic);
    this.cursor = null; // of the keys
    this.hover = null; // of the pointer
    this.painted = new Map(); // painted here, until the kernel has answered
    const on = {
      pointerdown: (event) => {
        const spot = this.spot(event);
        if (event.button !== 0 || !spot || !this.node.gesture) return;
        event.preventDefault();
        this.canvas.focus({ focusVisible: false, preventScroll: true });
        this.cursor = this.hover = null;
        if (this.node.gesture === "paint" && this.paints(spot)) {
          this.canvas.setPointerCapture(event.pointerId);
          this.ink = this.inkAt(spot) > 0.1 ? 0 : 1;
        }
        this.act(spot);
      },
      pointermove: (event) => {
        if (this.node?.gesture !== "paint" || !this.canvas.hasPointerCapture(event.pointerId)) return this.point(this.spot(event));
        for (const one of event.getCoalescedEvents?.() || [event]) { const spot = this.spot(one); if (spot && this.paints(spot)) this.act(spot); }
      },
      pointerleave: () => this.point(null),
      keydown: (event) => {
        if (!this.node?.gesture) return;
        const [tiles, rows, columns] = this.node.ink.shape;
        const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (by) {
          event.preventDefault();
          const [tile, i, j] = this.cursor || [Math.max(this.chosen()[0], 0), 0, 0];
          this.cursor = this.node.gesture === "choose"
            ? [clamp(tile + by[1] + by[0] * this.node.per_row, 0, tiles - 1), 0, 0]
            : [tile, clamp(i + by[0], 0, rows - 1), clamp(j + by[1], 0, columns - 1)];
          this.store.tell();
        } else if ((event.key === " " || (event.key === "Enter" && !event.shiftKey)) && this.cursor) {
          event.preventDefault();
          this.ink = this.inkAt(this.cursor) > 0.1 ? 0 : 1;
          this.act(this.cursor);
        }
      },
      blur: () => { this.cursor = null; this.store.tell(); },
    };
    for (const [event, handler] of Object.entries(on)) this.canvas.addEventListener(event, handler);
  }
  index([tile, i, j]) { const [, rows, columns] = this.node.ink.shape; return (tile * rows + i) * columns + j; }
  inkAt(spot) { return this.painted.get(this.index(spot)) ?? this.node.ink.data[this.index(spot)]; }
  paints(spot) { return !this.node.paintable || this.node.paintable.data[this.index(spot)] > 0; }
  point(spot) {
    if (!this.node?.notes.length || String(spot) === String(this.hover)) return;
    this.hover = spot;
    this.store.tell();
  }
  act(spot) {
    const { gesture } = this.node;
    if (gesture === "choose") return this.store.gesture(this.name, [spot[0]]);
    if (gesture === "pick") return this.store.gesture(this.name, spot);
    if (!this.paints(spot)) return this.store.gesture(this.name, [...spot, -1]);
    if (this.inkAt(spot) === this.ink && this.painted.has(this.index(spot))) return;
    this.painted.set(this.index(spot), this.ink);
    this.seq = this.store.seq;
    this.store.gesture(this.name, [...spot, this.ink], true);
    this.store.tell();
  }
  spot({ offsetX, offsetY, target }) {
    if (target !== this.canvas || !this.node) return null;
    const { side, pitchX, pitchY, cell } = this;
    const [tiles, rows, columns] = this.node.ink.shape;
    const [column, row] = [Math.floor(offsetX / pitchX), Math.floor(offsetY / pitchY)];
    const tile = row * this.node.per_row + column;
    const [j, i] = [Math.floor((offsetX - column * pitchX) / cell), Math.floor((offsetY - row * pitchY) / cell)];
    if (column >= this.node.per_row || tile >= tiles || side === 0) return null;
    if (this.node.gesture === "choose") return [tile, 0, 0];
    return i < rows && j < columns && i >= 0 && j >= 0 ? [tile, i, j] : null;
  }
  draw(node) {
    this.node = node;
    if (this.store.seq !== this.seq) this.painted.clear();
    if (this.heading.textContent !== node.title) this.heading.textContent = node.title;
    this.heading.hidden = !node.title;
    this.box.style.setProperty("--w", `${node.width}px`);
    const palette = paletteOf(this.root);
    const [tiles, rows, columns] = node.ink.shape;
    const gap = node.per_row > 1 ? 16 : 0;
    // A single image is seen as a whole, with what stands below it.
    const room = node.gesture !== "choose" ? ((innerHeight - 370) * columns) / rows : node.width;
    const width = Math.min(this.box.clientWidth || node.width, node.width, Math.max(room, 200) * node.per_row);
    this.pitchX = (width + gap) / node.per_row;
    this.side = this.pitchX - gap;
    const cell = (this.cell = this.side / columns);
    const words = node.titles.length ? 20 : 0;
    const tall = cell * rows;
    this.pitchY = tall + words + (node.per_row > 1 || tiles > 1 ? 12 : 0);
    const height = Math.ceil(tiles / node.per_row) * this.pitchY;
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px`, cursor: node.gesture ? (node.gesture === "paint" ? "crosshair" : "pointer") : "" });
    const ctx = sized(this.canvas, width, height);
    // Room between pixels, unless none of them has an edge.
    const inset = node.outline && !node.outline.data.includes(1) ? 0 : cell > 10 ? 1 : cell > 5 ? 0.5 : 0;
    for (let tile = 0; tile < tiles; tile++) {
      const [x0, y0] = [(tile % node.per_row) * this.pitchX, Math.floor(tile / node.per_row) * this.pitchY];
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          const k = (tile * rows + i) * columns + j;
          const ink = this.painted.get(k) ?? node.ink.data[k];
          const hue = node.hues[this.painted.has(k) || !node.hue ? 0 : node.hue.data[k]] || "ink";
          // Without room between them pixels end where the screen's do: they must not overlap.
          const edge = inset ? (v) => v : Math.round;
          const [x, y] = [edge(x0 + j * cell) + inset, edge(y0 + i * cell) + inset];
          const [wide, high] = [edge(x0 + (j + 1) * cell) - x - inset, edge(y0 + (i + 1) * cell) - y - inset];
          if (ink > 0.004) { ctx.fillStyle = css(palette[hue], clamp(ink, 0, 1) * (hue === "ink" ? 0.8 : 1)); ctx.fillRect(x, y, wide, high); }
          if (inset >= 0.5 && (!node.outline || node.outline.data[k]) && ink < 0.5) { ctx.strokeStyle = css(palette.rule, 0.8); ctx.lineWidth = 1; ctx.strokeRect(x, y, wide, high); }
        }
      }
      if (!inset) { ctx.strokeStyle = css(palette.rule); ctx.lineWidth = 1; ctx.strokeRect(x0 + 0.5, y0 + 0.5, this.side - 1, tall - 1); }
      if (node.titles[tile]) {
        ctx.font = `12px ${palette.font}`;
        ctx.fillStyle = css(palette.soft);
        ctx.fillText(node.titles[tile], x0, y0 + tall + 14);
      }
      const chosen = this.chosen().includes(tile);
      if (chosen || (node.gesture === "choose" && this.cursor?.[0] === tile)) {
        ctx.strokeStyle = css(chosen ? palette.ink : palette.soft);
        ctx.lineWidth = 2;
        ctx.strokeRect(x0 + 1, y0 + 1, this.side - 2, tall - 2);
      }
    }
    this.overlay(ctx, node, cell, palette);
    const pointed = node.gesture !== "choose" ? this.cursor || this.hover : null;
    this.note = pointed ? node.notes[this.index(pointed)] || "" : "";
    const lit = pointed || node.lit?.data || [];
    for (let k = 0; k < lit.length; k += 3) {
      if (lit[k] < 0) continue;
      const [x0, y0] = this.corner(lit[k]);
      ctx.strokeStyle = css(palette.ink);
      ctx.lineWidth = 2;
      ctx.strokeRect(x0 + lit[k + 2] * cell + 1, y0 + lit[k + 1] * cell + 1, cell - 2, cell - 2);
    }
    put(this.canvas, { "aria-label": this.cursor ? this.told(this.cursor) : `${node.title || this.name}: ${tiles} of ${rows} by ${columns} pixels. ${node.titles.join(", ")} ${node.help}` });
    if (node.gesture) put(this.canvas, { tabindex: 0, role: "application" });
    this.showBorder(node, cell, width, rows);
    this.canvas.dataset.seq = this.store.seq;
  }
  // What stands where the keys are.
  told([tile, i, j]) {
    const { gesture, titles, notes, ink } = this.node;
    if (gesture === "choose") return `image ${tile + 1} of ${ink.shape[0]} ${titles[tile] || ""}${this.chosen().includes(tile) ? ", chosen" : ""}`;
    return `row ${i + 1}, column ${j + 1}: ${written(this.inkAt([tile, i, j]))} ${notes[this.index([tile, i, j])] || ""}`;
  }
  chosen() { return Array.from(this.node.chosen?.data || [this.node.chosen ?? -1]); }
  // The upper left corner of an image.
  corner(tile) { return [(tile % this.node.per_row) * this.pitchX, Math.floor(tile / this.node.per_row) * this.pitchY]; }
  overlay(ctx, node, cell, palette) {
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = css(palette.ink, 0.7);
    ctx.beginPath();
    for (let k = 0; node.lines && k < node.lines.data.length; k += 5) {
      const [tile, i, j, down, across] = node.lines.data.slice(k, k + 5);
      const [x, y] = this.corner(tile);
      ctx.moveTo(x + j * cell, y + i * cell);
      ctx.lineTo(x + across * cell, y + down * cell);
    }
    ctx.stroke();
    if (cell < 14) return;
    const each = node.ink.shape[1] * node.ink.shape[2];
    Object.assign(ctx, { font: `600 ${clamp(cell / 2, 11, 16)}px ${palette.font}`, textAlign: "center", textBaseline: "middle", lineWidth: 4, lineJoin: "round" });
    node.words.forEach((word, k) => {
      if (!word) return;
      const [x, y] = this.corner(Math.floor(k / each));
      const spot = [x + ((k % node.ink.shape[2]) + 0.5) * cell, y + (Math.floor((k % each) / node.ink.shape[2]) + 0.5) * cell + 1];
      ctx.strokeStyle = css(palette.ground);
      ctx.strokeText(word, ...spot);
      ctx.fillStyle = css(palette.ink);
      ctx.fillText(word, ...spot);
    });
    ctx.textAlign = "start";
    ctx.textBaseline = "alphabetic";
  }
  showBorder(node, cell, width, rows) {
    if (node.border === null) { this.border?.remove(); this.border = null; return; }
    if (!this.border) {
      this.border = element("div", { class: "nfteach-border", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-valuemin": 0 }, this.pic);
      const send = (row) => this.store.gesture(`${this.name}/border`, [clamp(row, 0, this.rows)]);
      const on = {
        pointerdown: (event) => { if (event.button === 0) { event.preventDefault(); this.border.focus({ focusVisible: false, preventScroll: true }); this.border.setPointerCapture(event.pointerId); } },
        pointermove: (event) => { if (this.border.hasPointerCapture(event.pointerId)) send((event.clientY - this.canvas.getBoundingClientRect().top) / this.cell); },
        keydown: (event) => {
          const by = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 }[event.key];
          if (by) { event.preventDefault(); send(Math.round(this.node.border) + by); }
        },
      };
      for (const [event, handler] of Object.entries(on)) this.border.addEventListener(event, handler);
    }
    this.rows = rows;
    Object.assign(this.border.style, { top: `${node.border * cell}px`, width: `${width}px` });
    put(this.border, { "aria-label": node.border_help, title: node.border_help, "aria-valuemax": rows, "aria-valuenow": Math.round(node.border) });
  }
}

const KINDS = { Plane: PlaneView, Chart: PlaneView, Matrix: MatrixView, Strip: StripView, Pixels: PixelsView };

// ---- frames: play, one back, one on, and a slider; no kernel takes part in a step ----

const ICONS = {
  previous: "M10.5 2.5 5 8l5.5 5.5 1.4-1.4L7.8 8l4.1-4.1z",
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  next: "M5.5 2.5 11 8l-5.5 5.5-1.4-1.4L8.2 8 4.1 3.9z",
};
function frameControls(store, root) {
  const bar = element("div", { class: "nfteach-frames", role: "group" }, root);
  const icon = (button, name) => {
    button.replaceChildren();
    draw("path", { d: ICONS[name] }, draw("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, button));
    Object.assign(button, { title: name });
    button.setAttribute("aria-label", name);
  };
  const button = (name, action) => {
    const made = element("button", { type: "button", class: `nfteach-${name}` }, bar);
    icon(made, name);
    made.addEventListener("click", action);
    return made;
  };
  let playing = null;
  let speed = 1;
  let measured = null;
  const last = () => store.frames.length - 1;
  const stop = () => { if (!playing) return; playing = null; icon(play, "play"); };
  store.stop = stop;
  const step = (by) => { stop(); store.go(store.aim + by); };
  button("previous", () => step(-1));
  const toggle = () => {
    if (playing) { stop(); return store.go(store.position, 100); }
    if (store.position >= last() - 1e-3) { store.gliding = null; store.position = 0; }
    icon(play, "pause");
    const mine = (playing = { from: Math.floor(store.position + 1e-3), began: performance.now() });
    const move = () => {
      if (playing !== mine) return;
      const each = clamp(7000 / last(), 220, 900) / speed;
      // Movement and rest: a flow is seen in steps.
      const t = (performance.now() - mine.began) / each;
      const part = CALM.matches ? Number(t >= 1) : clamp(t / 0.82, 0, 1);
      store.gliding = null;
      store.position = Math.min(mine.from + part * part * (3 - 2 * part), last());
      if (t >= 1) {
        mine.from += 1;
        mine.began = performance.now();
        store.position = Math.min(mine.from, last());
        store.keep(store.position);
      }
      store.tell();
      if (mine.from >= last()) stop();
      else requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  };
  const play = button("play", toggle);
  button("next", () => step(1));
  const slider = element("input", { type: "range", class: "nfteach-frame", min: 0, step: 1 }, bar);
  slider.addEventListener("input", () => { stop(); store.go(slider.valueAsNumber, 200); });
  const label = element("span", { class: "nfteach-frame-label", "aria-hidden": "true" }, bar);
  const fast = element("button", { type: "button", class: "nfteach-speed", title: "speed" }, bar);
  const tell = () => { fast.textContent = `${speed}\u00d7`; fast.setAttribute("aria-label", `speed ${speed} times`); };
  fast.addEventListener("click", () => { speed = { 1: 2, 2: 0.5, 0.5: 1 }[speed]; tell(); });
  tell();
  return {
    refresh() {
      bar.hidden = store.frames.length < 2;
      if (bar.hidden) return;
      const index = store.aim;
      put(slider, { max: last() });
      if (slider.valueAsNumber !== index) slider.value = index;
      const name = (k) => store.stops?.[k] ?? k;
      const words = `${store.step} ${name(index)} of ${name(last())}`;
      if (measured !== store.frames) {
        // Room for the longest label, so that nothing beside it moves in a step.
        measured = store.frames;
        const longest = Math.max(...store.frames.map((_, k) => `${store.step} ${name(k)} of ${name(last())}`.length));
        label.style.minWidth = `${longest}ch`;
      }
      put(slider, { "aria-label": store.step, "aria-valuetext": words });
      if (label.textContent !== words) label.textContent = words;
    },
    stop,
    start() { if (!playing && last() > 0) toggle(); },
  };
}

// What the controls of ipywidgets lack: names for sliders and their numbers, which button is pressed, a key for "more".
function completeControls(root) {
  for (const one of root.querySelectorAll(".noUi-handle, .widget-readout")) {
    put(one, { "aria-label": one.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent || "value" });
  }
  for (const one of root.querySelectorAll(".widget-toggle-button")) put(one, { "aria-pressed": one.classList.contains("mod-active") });
  for (const header of root.querySelectorAll(".jupyter-widget-Collapse-header")) {
    put(header, { tabindex: 0, role: "button", "aria-expanded": header.parentElement.classList.contains("jupyter-widget-Collapse-open") });
    header.onkeydown = (event) => {
      if (event.shiftKey || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      header.click();
    };
  }
}

// The notebook has meanings of its own for letters, arrows and Enter: it does not get them from here. Shift+Enter still
// runs the cell, and Ctrl+S saves.
function keepKeys(root) {
  completeControls(root);
  const passes = (event) => event.ctrlKey || event.metaKey || (event.shiftKey && event.key === "Enter");
  const stop = (event) => { if (!passes(event)) event.stopPropagation(); };
  // Notebook 7 looks at keys on their way down to here: too early for stopPropagation. But it leaves alone what has this
  // attribute: the very element that the key is for, since what is around that comes too late in its search.
  const guard = (event) => root.contains(event.target) &&
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));
  const watch = () => window.addEventListener("keydown", guard, true);
  const rest = () => window.removeEventListener("keydown", guard, true);
  const on = { keydown: stop, focusin: () => { watch(); completeControls(root); }, focusout: rest, click: () => setTimeout(() => completeControls(root)) };
  for (const [event, handler] of Object.entries(on)) root.addEventListener(event, handler);
  if (root.contains(document.activeElement)) watch();
  return () => {
    rest();
    for (const [event, handler] of Object.entries(on)) root.removeEventListener(event, handler);
  };
}

// ---- one view ----

function makeView(store, el) {
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
  const errorLine = element("div", { class: "nfteach-error", role: "alert", hidden: "" }, root);
  const parts = new Map();
  const columns = new Map();
  let alive = true;
  let painted = 0;
  let late = false;

  function showRows(list, rows) {
    list.hidden = !rows.length;
    if (list.children.length !== rows.length) {
      list.replaceChildren(...rows.map(() => {
        const cell = element("div");
        for (const part of ["dt", "dd", "small"]) element(part, {}, cell);
        draw("svg", { class: "nfteach-gauge", "aria-hidden": "true" }, cell);
        return cell;
      }));
    }
    rows.forEach(([label, value, unit, note, bad, , gauge], i) => {
      const cell = list.children[i];
      const texts = [label, unit ? `${value} ${unit}` : value, note];
      texts.forEach((text, k) => { if (cell.children[k].textContent !== text) cell.children[k].textContent = text; });
      cell.classList.toggle("nfteach-bad", bad);
      cell.children[2].hidden = !note;
      cell.children[3].toggleAttribute("hidden", !gauge);
      if (gauge) showGauge(cell.children[3], gauge, clamp(cell.clientWidth || 264, 120, 264));
    });
  }
  function paint() {
    if (!alive) return;
    const { nodes, order, rows } = store.now();
    if (help.dataset.words !== store.help) { help.dataset.words = store.help || ""; speak(store.help || "", help); }
    help.hidden = !store.help;
    two.style.setProperty("--main", `${store.main ?? 560}px`);
    showRows(table, rows.filter((row) => !row[5]));
    const hidden = rows.filter((row) => row[5]);
    showRows(rest, hidden);
    more.hidden = !hidden.length;
    root.classList.toggle("nfteach-stale", Boolean(store.error));
    errorLine.hidden = !store.error;
    if (errorLine.textContent !== store.error) errorLine.textContent = store.error || "";
    controls.refresh();
    const marks = {};
    for (const path of order) {
      const cut = path.indexOf("/");
      if (cut > 0) (marks[path.slice(0, cut)] ||= []).push([path.slice(cut + 1), nodes[path]]);
    }
    const names = order.filter((path) => !path.includes("/"));
    for (const name of names) {
      const node = nodes[name];
      if (parts.get(name)?.kind !== node.kind) {
        parts.get(name)?.box.remove();
        const made = new KINDS[node.kind](store, name, root);
        made.kind = node.kind;
        parts.set(name, made);
        watch.observe(made.box);
      }
    }
    for (const [name, part] of parts) if (!names.includes(name)) { part.box.remove(); parts.delete(name); }
    // In their order, numbers last in their column.
    const inOrder = (parent, wanted, put) => {
      const here = [...parent.children].filter((child) => child.matches(".nfteach-part, .nfteach-column"));
      if (wanted.length !== here.length || wanted.some((box, i) => box !== here[i])) put(...wanted);
    };
    const columned = new Map();
    for (const name of names) columned.set(nodes[name].column, [...(columned.get(nodes[name].column) || []), name]);
    for (const [name, column] of columns) if (!columned.has(name)) { column.remove(); columns.delete(name); }
    for (const [name, members] of columned) {
      if (!name) continue;
      let column = columns.get(name);
      if (!column) {
        columns.set(name, (column = element("div", { class: "nfteach-column" })));
        column.line = element("p", { class: "nfteach-note" }, column);
      }
      column.style.setProperty("--w", `${Math.max(...members.map((one) => nodes[one].width))}px`);
      inOrder(column, members.map((one) => parts.get(one).box), (...boxes) => column.line.before(...boxes));
    }
    two.classList.toggle("nfteach-wide", columns.size > 0);
    for (const place of [main, side]) {
      const wanted = names.filter((name) => (nodes[name].place === "side") === (place === side));
      const boxes = new Set(wanted.map((name) => columns.get(nodes[name].column) || parts.get(name).box));
      inOrder(place, [...boxes], (...all) => (place === side ? sideNote.before(...all) : place.append(...all)));
    }
    side.hidden = !rows.length && !names.some((name) => nodes[name].place === "side");
    for (const name of names) {
      parts.get(name).box.classList.toggle("nfteach-corner", nodes[name].place === "corner");
      parts.get(name).box.classList.toggle("nfteach-aside", nodes[name].aside);
      parts.get(name).draw(nodes[name], marks[name] || []);
    }
    // What makes the entry that is pointed at, or what to point at.
    const lines = [["main", mainNote], ["side", sideNote]].map(([place, line]) => [line, names.filter((name) => nodes[name].place === place && !nodes[name].column)]);
    for (const [name, column] of columns) lines.push([column.line, columned.get(name)]);
    for (const [line, members] of lines) {
      const noted = members.filter((name) => nodes[name].note || nodes[name].notes?.length);
      const words = noted.map((name) => parts.get(name).note).find(Boolean) || noted.map((name) => nodes[name].note).find(Boolean) || "";
      line.hidden = !noted.length;
      if (line.textContent !== words) line.textContent = words;
    }
    const numbers = rows.filter((row) => !row[5]).map(([label, value, unit]) => `${label} ${value} ${unit}`.trim());
    put(root, { "aria-label": `${store.alt || "a picture that moves"}${numbers.length ? ": " : ""}${numbers.join(", ")}.` });
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
  const watch = new ResizeObserver(() => ask());
  watch.observe(root);
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
  requestAnimationFrame(() => { if (alive) { letGo = keepKeys(el.closest(".nfteach-explorer") || root); paint(); } });
  return () => {
    alive = false;
    letGo();
    controls.stop();
    cancelAnimationFrame(painted);
    watch.disconnect();
    seen.disconnect();
    store.views.delete(ask);
    themed.delete(ask);
    root.remove();
  };
}

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new Store(model);
      return store.dispose;
    },
    render({ el }) {
      return makeView(store, el);
    },
  };
};
