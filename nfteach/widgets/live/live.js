// The browser's side of LiveFigure: paints what moves on a canvas, between still layers that matplotlib drew.
// A plain ES module for anywidget; no dependency.

const TYPES = { uint8: Uint8Array, float32: Float32Array };

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

// ---- painting: everything in the figure's own pixels, y down; `scale` is canvas pixels per figure pixel ----

function project([a, b, c, d, e, f], { data }) {
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i += 2) {
    out[i] = a * data[i] + c * data[i + 1] + e;
    out[i + 1] = b * data[i] + d * data[i + 1] + f;
  }
  return out;
}

const pick = (list, i) => list[i % list.length];

function trace(ctx, points, from, count) {
  ctx.moveTo(points[2 * from], points[2 * from + 1]);
  for (let i = from + 1; i < from + count; i++) ctx.lineTo(points[2 * i], points[2 * i + 1]);
}

function paintImage(ctx, one) {
  const [rows, columns] = (one.index || one.rgba).shape;
  const held = (one.held ||= document.createElement("canvas"));
  if (held.version !== one.version) {
    held.version = one.version;
    held.width = columns;
    held.height = rows;
    const pixels = new ImageData(columns, rows);
    if (one.index) {
      // One 32-bit write a pixel: the colour map as little-endian words.
      const words = new Uint32Array(one.table.data.buffer);
      const target = new Uint32Array(pixels.data.buffer);
      const index = one.index.data;
      for (let i = 0; i < index.length; i++) target[i] = words[index[i]];
    } else pixels.data.set(one.rgba.data);
    held.getContext("2d").putImageData(pixels, 0, 0);
  }
  const [x, y, width, height] = one.rect;
  ctx.globalAlpha = one.alpha;
  // matplotlib's "auto" interpolation: plain cells once a pixel is blown up threefold or more.
  ctx.imageSmoothingEnabled = one.smooth && Math.abs(width / columns) * ctx.getTransform().a < 3;
  ctx.translate(x, y);
  ctx.scale(Math.sign(width), Math.sign(height));
  ctx.drawImage(held, 0, 0, Math.abs(width), Math.abs(height));
}

// A marker is painted once and stamped everywhere: thousands of points cost little.
const stamps = new Map();
function stamp(marker, size, face, edge, width, scale) {
  const key = JSON.stringify([marker.map((part) => Array.from(part.data)), size, face, edge, width, scale]);
  if (stamps.has(key)) return stamps.get(key);
  if (stamps.size > 600) stamps.clear();
  const half = Math.ceil((size * 0.75 + width) * scale) + 1;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 2 * half;
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  ctx.translate(half, half);
  ctx.scale(scale, scale);
  ctx.beginPath();
  for (const { data } of marker) trace(ctx, data.map((v, i) => (i % 2 ? -v : v) * size), 0, data.length / 2);
  if (face) { ctx.fillStyle = face; ctx.fill(); }
  if (edge && width) { ctx.strokeStyle = edge; ctx.lineWidth = width; ctx.stroke(); }
  stamps.set(key, { canvas, half, pixels: ctx.getImageData(0, 0, 2 * half, 2 * half).data });
  return stamps.get(key);
}

// One stamp a point: `stampOf(i)`.
function stamper(one, scale) {
  const sizes = one.sizes.data;
  const colors = one.rgba && one.rgba.data;
  const edge = one.edge;
  if (!colors && sizes.length === 1) {
    const same = stamp(one.marker, sizes[0], one.face, edge ?? one.face, one.width, scale);
    return () => same;
  }
  const made = new Map(); // within one painting: colour and size -> stamp
  return (i) => {
    const size = sizes[i % sizes.length];
    const at = 4 * (colors ? i % (colors.length / 4) : 0);
    const color = colors ? colors[at] + 256 * (colors[at + 1] + 256 * (colors[at + 2] + 256 * colors[at + 3])) : 0;
    const key = color + 4294967296 * Math.round(8 * size);
    let mark = made.get(key);
    if (!mark) {
      const face = colors ? `rgba(${colors[at]},${colors[at + 1]},${colors[at + 2]},${(colors[at + 3] / 255).toFixed(3)})` : one.face;
      made.set(key, (mark = stamp(one.marker, size, face, edge ?? face, one.width, scale)));
    }
    return mark;
  };
}

function paintPoints(ctx, one, scale) {
  const points = project(one.matrix, one.points);
  if (!one.sizes.data.length || !points.length) return;
  const stampOf = stamper(one, scale);
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  if (points.length > 200) return paintCloud(ctx, one, points, stampOf, scale);
  for (let i = 0; i < points.length / 2; i++) {
    const { canvas, half } = stampOf(i);
    ctx.drawImage(canvas, points[2 * i] * scale - half, points[2 * i + 1] * scale - half);
  }
}

// Thousands of points: the stamps are blended here, at whole pixels (as matplotlib does), into one picture. Many times
// faster than as many calls of drawImage.
function paintCloud(ctx, one, points, stampOf, scale) {
  const [x0, y0, width, height] = (one.clip || [0, 0, ctx.canvas.width / scale, ctx.canvas.height / scale]).map((v) => Math.ceil(v * scale));
  if (!one.cloud || one.cloud.width !== width || one.cloud.height !== height) {
    one.cloud = Object.assign(document.createElement("canvas"), { width, height });
    one.blend = new ImageData(width, height);
  } else if (one.cloud.version === one.version) {
    ctx.drawImage(one.cloud, x0, y0);
    return;
  }
  one.cloud.version = one.version;
  const target = one.blend.data;
  target.fill(0);
  for (let i = 0; i < points.length / 2; i++) {
    const { pixels, half } = stampOf(i);
    const side = 2 * half;
    const left = Math.round(points[2 * i] * scale) - half - x0;
    const top = Math.round(points[2 * i + 1] * scale) - half - y0;
    const [fromX, toX, fromY, toY] = [Math.max(0, -left), Math.min(side, width - left), Math.max(0, -top), Math.min(side, height - top)];
    for (let y = fromY; y < toY; y++) {
      for (let x = fromX; x < toX; x++) {
        const source = 4 * (y * side + x);
        const alpha = pixels[source + 3] / 255;
        if (!alpha) continue;
        const at = 4 * ((top + y) * width + left + x);
        const under = (target[at + 3] / 255) * (1 - alpha);
        const sum = alpha + under;
        for (let c = 0; c < 3; c++) target[at + c] = (pixels[source + c] * alpha + target[at + c] * under) / sum;
        target[at + 3] = 255 * sum;
      }
    }
  }
  one.cloud.getContext("2d").putImageData(one.blend, 0, 0);
  ctx.drawImage(one.cloud, x0, y0);
}

function paintLines(ctx, one, scale) {
  const points = project(one.matrix, one.vertices);
  ctx.lineJoin = "round";
  ctx.lineCap = one.cap === "projecting" ? "square" : one.cap;
  ctx.setLineDash(one.dashes);
  ctx.lineDashOffset = one.offset;
  let from = 0;
  one.lengths.forEach((count, i) => {
    ctx.beginPath();
    trace(ctx, points, from, count);
    from += count;
    if (!one.edges.length || !pick(one.edges, i)) return;
    ctx.strokeStyle = pick(one.edges, i);
    ctx.lineWidth = pick(one.widths, i);
    ctx.stroke();
  });
  if (one.spots) paintPoints(ctx, Object.assign(one.spots, { matrix: one.matrix, clip: one.clip, version: one.version }), scale);
}

function paintPolygons(ctx, one) {
  const points = project(one.matrix, one.vertices);
  ctx.lineJoin = "miter";
  let from = 0;
  one.lengths.forEach((count, i) => {
    ctx.beginPath();
    trace(ctx, points, from, count);
    from += count;
    ctx.closePath();
    if (pick(one.faces, i)) { ctx.fillStyle = pick(one.faces, i); ctx.fill(); }
    if (pick(one.edges, i) && pick(one.widths, i)) {
      ctx.strokeStyle = pick(one.edges, i);
      ctx.lineWidth = pick(one.widths, i);
      ctx.stroke();
    }
  });
}

// The outline of matplotlib's quiver: shaft, barbs, tip; an arrow too short for its head shrinks, then becomes a dot.
function paintArrows(ctx, one) {
  const tails = project(one.matrix, one.tails);
  const tips = project(one.matrix, one.tips);
  const [headWidth, headLength, headAxis] = one.head;
  const [minShaft, minLength] = one.least;
  for (let i = 0; i < tails.length / 2; i++) {
    const [x, y] = [tails[2 * i], tails[2 * i + 1]];
    const [dx, dy] = [tips[2 * i] - x, tips[2 * i + 1] - y];
    const length = Math.hypot(dx, dy) / one.unit;
    ctx.fillStyle = pick(one.colors, i);
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(Math.atan2(dy, dx));
    ctx.scale(one.unit, one.unit);
    ctx.beginPath();
    if (length < minLength) {
      for (let k = 0; k < 6; k++) ctx.lineTo(0.5 * minLength * Math.cos((k * Math.PI) / 3), 0.5 * minLength * Math.sin((k * Math.PI) / 3));
    } else {
      const shrink = Math.min(1, length / (minShaft * headLength));
      const reach = Math.max(length, minShaft * headLength);
      ctx.scale(shrink, shrink);
      const [barb, neck] = [reach - headLength, reach - headAxis];
      const side = [[0, 0.5], [neck, 0.5], [barb, headWidth / 2], [reach, 0]];
      for (const [px, py] of side) ctx.lineTo(px, py);
      for (const [px, py] of side.reverse()) ctx.lineTo(px, -py);
    }
    ctx.closePath();
    ctx.fill();
    ctx.restore();
  }
}

// matplotlib's layout of texts: the box around all lines is turned, then what the box around that has at the given side
// comes to the point. Heights are matplotlib's, measured there; y up until the words are drawn.
function paintText(ctx, one) {
  const { size, weight, style, align, baseline, rotation, anchor, single, several } = one.font;
  const points = project(one.matrix, one.positions);
  const [sin, cos] = [Math.sin((rotation * Math.PI) / 180), Math.cos((rotation * Math.PI) / 180)];
  const turned = (x, y) => [cos * x - sin * y, sin * x + cos * y];
  ctx.font = `${style} ${weight} ${size}px "DejaVu Sans", Verdana, "Bitstream Vera Sans", sans-serif`;
  one.labels.forEach((label, i) => {
    const lines = label.split("\n");
    const { up, down, step } = lines.length > 1 ? several : single;
    const widths = lines.map((line) => ctx.measureText(line).width);
    const [width, last] = [Math.max(...widths), up + (lines.length - 1) * step];
    const corners = [[0, 0], [width, 0], [0, -last - down], [width, -last - down]].map(([x, y]) => (anchor ? [x, y] : turned(x, y)));
    const [left, right] = [Math.min(...corners.map(([x]) => x)), Math.max(...corners.map(([x]) => x))];
    const [bottom, top] = [Math.min(...corners.map(([, y]) => y)), Math.max(...corners.map(([, y]) => y))];
    const x = { left, right, center: (left + right) / 2 }[align];
    const y = { top, bottom, center: (top + bottom) / 2, baseline: bottom + down, center_baseline: top - last / 2 }[baseline];
    const [dx, dy] = anchor ? turned(x, y) : [x, y];
    ctx.save();
    ctx.translate(points[2 * i] - dx, points[2 * i + 1] + dy);
    ctx.rotate((-rotation * Math.PI) / 180);
    ctx.fillStyle = pick(one.colors, i) || "transparent";
    const indent = { left: 0, center: 0.5, right: 1 }[align];
    lines.forEach((line, row) => ctx.fillText(line, indent * (width - widths[row]), up + row * step));
    ctx.restore();
  });
}

const PAINT = {
  image: paintImage, points: paintPoints, lines: paintLines, polygons: paintPolygons, arrows: paintArrows, text: paintText,
  heatmap(ctx, one) { ctx.save(); paintImage(ctx, one); ctx.restore(); paintText(ctx, one); },
};

function paint(ctx, store, layers, scale) {
  for (const item of store.scene.order) {
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    if (typeof item === "number") {
      if (layers[item]) ctx.drawImage(layers[item], 0, 0, ctx.canvas.width, ctx.canvas.height);
      continue;
    }
    const one = store.artists[item];
    if (!one || !one.visible) continue;
    ctx.save();
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    if (one.clip) { ctx.beginPath(); ctx.rect(...one.clip); ctx.clip(); }
    PAINT[one.kind](ctx, one, scale);
    ctx.restore();
  }
}

// ---- what is shown: one store a model, shared by its views, so that a view made later has the last picture ----

class Store {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.seq = -1;
    this.version = 0; // of an artist: what is made from its arrays is kept until they change
    this.artists = {};
    this.readout = [];
    this.error = "";
    this.drag = { wanted: null, flying: null, number: Math.floor(1e9 * Math.random()), heard: true };
    this.take_scene();
    this.take_frames();
    this.take_state();
    const on = {
      "msg:custom": (content, buffers) => { this.answer(content); this.merge(unpack(content, buffers)); this.rest(); },
      "change:_scene": () => { this.take_scene(); this.tell("scene"); },
      "change:_frames": () => { this.take_frames(); this.take_frame(); this.tell("frames"); },
      "change:_state": () => { this.drag.heard = true; this.take_state(); },
      "change:frame": () => { this.take_frame(); this.tell("frame"); },
      "change:handles": () => this.tell("picture"),
    };
    for (const [event, handler] of Object.entries(on)) model.on(event, handler);
    this.dispose = () => {
      clearTimeout(this.resting);
      clearTimeout(this.patience);
      for (const [event, handler] of Object.entries(on)) model.off(event, handler);
    };
    this.ask();
  }
  take_scene() {
    this.scene = unpackTrait(this.model.get("_scene"));
    for (const [name, fixed] of Object.entries(this.scene.artists)) {
      this.artists[name] = { ...this.artists[name], ...fixed, version: ++this.version };
    }
  }
  take_frames() { this.frames = unpackTrait(this.model.get("_frames")); }
  take_state() {
    const state = unpackTrait(this.model.get("_state"));
    this.kept = state.seq; // what a saved notebook would hold
    if (state.seq < this.seq) return;
    this.merge(state);
    // The kernel may be behind the frame chosen here, or gone; else its state is the picture, updates after the frame included.
    if (state.frame === this.model.get("frame")) return;
    this.take_frame();
    this.tell("picture");
  }
  take_frame() {
    const frame = this.frames.list[this.model.get("frame")];
    if (frame) this.take(frame);
  }
  merge({ frames, seq, ...news }) {
    if (frames) {
      // Of each frame, what is new.
      this.frames.list = this.frames.list.map((known, i) => {
        const all = { ...known.artists };
        for (const [name, told] of Object.entries(frames[i].artists)) all[name] = { ...all[name], ...told };
        return { ...known, ...frames[i], artists: all };
      });
      this.take_frame();
    }
    this.take(news);
    if (seq !== undefined) this.seq = seq;
    this.tell("picture");
  }
  take({ artists, readout, error }) {
    for (const [name, told] of Object.entries(artists)) {
      const known = this.artists[name] || {};
      // Frames share what they have in common: what is made from that is kept.
      if (Object.entries(told).every(([part, value]) => known[part] === value)) continue;
      this.artists[name] = { ...known, ...told, version: ++this.version };
    }
    if (readout) this.readout = readout;
    if (error !== undefined) this.error = error;
  }
  // A handle is dragged to a point of the figure. One message is under way at a time; what waits is the newest position.
  move(name, at) {
    if (!this.drag.heard) return;
    this.drag.wanted = { name, at };
    if (this.drag.flying === null) this.fly();
  }
  fly() {
    const { drag } = this;
    drag.flying = null;
    clearTimeout(this.patience);
    if (!drag.wanted) return;
    const wanted = drag.wanted;
    drag.wanted = null;
    try { this.model.send({ type: "drag", drag: ++drag.number, ...wanted }); } catch { return; }
    drag.flying = drag.number;
    // No answer: there is no kernel, or a busy one. Nothing can be dragged until something is heard from it.
    this.patience = setTimeout(() => {
      Object.assign(drag, { wanted: null, flying: null, heard: false });
      this.ask();
      this.tell("picture");
    }, 3000);
  }
  answer(content) {
    this.drag.heard = true;
    if (content.drag === this.drag.flying) this.fly();
  }
  tell(what) { for (const view of this.views) view(what); }
  ask() { try { this.model.send({ type: "state", seq: this.kept }); } catch { /* no kernel: the stored state is all there is */ } }
  // When the picture has come to rest, its state is fetched into the model: saved with the notebook, if it is saved at all.
  rest() { clearTimeout(this.resting); this.resting = setTimeout(() => this.ask(), 600); }
}

function element(tag, attributes = {}, parent = null) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) key === "text" ? (made.textContent = value) : made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

// Slider and buttons for frames that are here already: no kernel takes part in a step.
function frameControls(store, root) {
  const { model } = store;
  const bar = element("div", { class: "nfteach-frames", role: "group" }, root);
  const button = (name, text, action) => {
    const made = element("button", { type: "button", class: `nfteach-${name}`, "aria-label": name, title: name, text }, bar);
    made.addEventListener("click", action);
    return made;
  };
  const show = (index) => {
    const last = store.frames.list.length - 1;
    model.set("frame", Math.min(Math.max(index, 0), last));
    try { model.save_changes(); } catch { /* no kernel to tell */ }
  };
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "\u25b6"; play.setAttribute("aria-label", "play"); play.title = "play"; };
  const step = (by) => { stop(); show(model.get("frame") + by); };
  button("previous", "\u25c0\u2502", () => step(-1));
  const play = button("play", "\u25b6", () => {
    if (timer) return stop();
    const last = () => store.frames.list.length - 1;
    if (model.get("frame") >= last()) show(0);
    play.textContent = "\u23f8\ufe0e";
    play.setAttribute("aria-label", "pause");
    play.title = "pause";
    timer = setInterval(() => { show(model.get("frame") + 1); if (model.get("frame") >= last()) stop(); }, 600);
  });
  button("next", "\u2502\u25b6", () => step(1));
  const slider = element("input", { type: "range", class: "nfteach-frame", min: 0, step: 1 }, bar);
  slider.addEventListener("input", () => { stop(); show(slider.valueAsNumber); });
  const label = element("output", { class: "nfteach-frame-label" }, bar);
  const worded = (list, name, index) => `${name} ${index} of ${list.length - 1}${list[index].label ? ": " + list[index].label : ""}`;
  let measured = null;
  return {
    refresh() {
      const { list, label: name } = store.frames;
      const index = model.get("frame");
      bar.hidden = list.length < 2;
      if (!list.length) return;
      slider.max = list.length - 1;
      slider.value = index;
      if (measured !== list) {
        // Room for the longest label, so that nothing beside it moves in a step.
        const longest = Math.max(...list.map((_, i) => worded(list, name, i).length));
        label.style.minWidth = `min(${longest}ch, 100%)`;
        measured = list;
      }
      const words = worded(list, name, index);
      slider.setAttribute("aria-label", name);
      slider.setAttribute("aria-valuetext", words);
      label.textContent = words;
    },
    stop,
  };
}

// Points that can be dragged: a ring on each while the pointer is over the picture.
function dragHandles(store, picture, canvas) {
  const rings = new Map();
  let held = null;
  let near = null;
  // Where a handle is on the page, or null if it is not to be had.
  const place = (name) => {
    const one = store.artists[name];
    if (!store.drag.heard || !one || !one.visible || one.points.data.length !== 2) return null;
    const [x, y] = project(one.matrix, one.points);
    const ratio = canvas.clientWidth / store.scene.width;
    const radius = ((one.sizes.data[0] || 0) * ratio) / 2;
    return Number.isFinite(x + y) ? { name, x: x * ratio, y: y * ratio, radius } : null;
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const find = (event, touch = event.pointerType === "touch") => {
    const [x, y] = at(event);
    const reach = touch ? 26 : 14; // a finger is less exact
    const found = Object.keys(store.model.get("handles") || {}).map(place).filter(Boolean)
      .map((spot) => ({ ...spot, far: Math.hypot(spot.x - x, spot.y - y) }))
      .filter((spot) => spot.far <= Math.max(reach, spot.radius));
    return found.sort((one, other) => one.far - other.far)[0] || null;
  };
  const refresh = () => {
    for (const [name, words] of Object.entries(store.model.get("handles") || {})) {
      if (!rings.has(name)) rings.set(name, element("span", { class: "nfteach-handle" }, picture));
      const [ring, spot] = [rings.get(name), place(name)];
      ring.hidden = !spot;
      if (!spot) continue;
      const size = 2 * Math.max(spot.radius + 4, 11);
      Object.assign(ring.style, { width: `${size}px`, height: `${size}px`, transform: `translate(${spot.x - size / 2}px, ${spot.y - size / 2}px)` });
      const lit = (held || near)?.name === name;
      ring.classList.toggle("nfteach-near", lit);
      if (lit) canvas.title = words;
    }
    if (!held && !near) canvas.removeAttribute("title");
    canvas.style.cursor = held && place(held.name) ? "grabbing" : near ? "grab" : "";
  };
  const on = {
    pointerdown(event) {
      const spot = event.button === 0 && !held && find(event);
      if (!spot) return;
      event.preventDefault(); // no text is selected on the way
      canvas.setPointerCapture(event.pointerId);
      const [x, y] = at(event);
      held = { name: spot.name, pointer: event.pointerId, dx: spot.x - x, dy: spot.y - y };
      refresh();
    },
    pointermove(event) {
      if (held?.pointer === event.pointerId) {
        const [x, y] = at(event);
        const ratio = store.scene.width / canvas.clientWidth;
        store.move(held.name, [(x + held.dx) * ratio, (y + held.dy) * ratio]);
      } else if (!held) {
        near = find(event);
        refresh();
      }
    },
    pointerup(event) {
      if (held?.pointer !== event.pointerId) return;
      held = null;
      near = find(event);
      refresh();
    },
    pointerleave() { near = null; refresh(); },
    lostpointercapture() { held = null; refresh(); },
    // A finger on a handle drags it; anywhere else it scrolls the page.
    touchstart(event) { if (held || find(event.touches[0], true)) event.preventDefault(); },
  };
  on.pointercancel = on.pointerup;
  for (const [event, handler] of Object.entries(on)) canvas.addEventListener(event, handler, { passive: false });
  return { refresh };
}

// The notebook has meanings of its own for letters, arrows and Enter: it does not get them from here. Shift+Enter still
// runs the cell, and Ctrl+S saves.
function keepKeys(root) {
  const passes = (event) => event.ctrlKey || event.metaKey || (event.shiftKey && event.key === "Enter");
  const stop = (event) => { if (!passes(event)) event.stopPropagation(); };
  // Notebook 7 looks at keys on their way down to here: too early for stopPropagation. But it leaves alone what has this
  // attribute: the very element that the key is for, since what is around that comes too late in its search.
  const guard = (event) => root.contains(event.target) &&
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));
  const watch = () => window.addEventListener("keydown", guard, true);
  const rest = () => window.removeEventListener("keydown", guard, true);
  const on = { keydown: stop, focusin: watch, focusout: rest };
  for (const [event, handler] of Object.entries(on)) root.addEventListener(event, handler);
  if (root.contains(document.activeElement)) watch();
  return () => {
    rest();
    for (const [event, handler] of Object.entries(on)) root.removeEventListener(event, handler);
  };
}

function makeView(store, el) {
  const root = element("div", { class: "nfteach-live" }, el);
  const picture = element("div", { class: "nfteach-picture" }, root);
  const canvas = element("canvas", { class: "nfteach-canvas", role: "img" }, picture);
  const ctx = canvas.getContext("2d");
  const controls = frameControls(store, root);
  const handles = dragHandles(store, picture, canvas);
  const table = element("dl", { class: "nfteach-readout" }, root);
  let layers = [];
  let scale = 0;
  let painted = 0; // a frame of the screen has its painting: the request that ends it
  let late = false;
  let alive = true;
  let errorLine = null;

  function showReadout() {
    const rows = store.readout;
    table.hidden = !rows.length;
    if (table.children.length !== rows.length) {
      table.replaceChildren(...rows.map(() => {
        const cell = element("div");
        for (const part of ["dt", "dd"]) element(part, {}, cell);
        return cell;
      }));
    }
    rows.forEach(([label, value, unit], i) => {
      const [name, number] = table.children[i].children;
      const words = unit ? `${value} ${unit}` : value;
      if (name.textContent !== label) name.textContent = label;
      if (number.textContent !== words) number.textContent = words;
    });
  }
  function showError() {
    root.classList.toggle("nfteach-stale", Boolean(store.error));
    if (!store.error) { errorLine?.remove(); errorLine = null; return; }
    errorLine ||= element("div", { class: "nfteach-error", role: "alert" });
    if (!errorLine.isConnected) table.before(errorLine);
    if (errorLine.textContent !== store.error) errorLine.textContent = store.error;
  }
  function draw() {
    if (!alive) return;
    showReadout();
    showError();
    controls.refresh();
    if (!layers.length) return;
    paint(ctx, store, layers, scale);
    handles.refresh();
    canvas.dataset.seq = store.seq;
  }
  // What comes is painted at once. More of it before the next frame of the screen makes one more painting: the newest wins.
  function ask() {
    if (painted) { late = true; return; }
    painted = requestAnimationFrame(() => {
      painted = 0;
      if (late) { late = false; ask(); }
    });
    draw();
  }

  async function resize() {
    const { width, height, layers: pngs } = store.scene;
    const shown = canvas.clientWidth || width;
    const wanted = (shown / width) * (window.devicePixelRatio || 1);
    if (wanted === scale && layers.length) return;
    const size = [Math.round(width * wanted), Math.round(height * wanted)];
    const options = { resizeWidth: size[0], resizeHeight: size[1], resizeQuality: "high" };
    const blobs = pngs.map((png) => new Blob([png.data], { type: "image/png" }));
    const made = await Promise.all(blobs.map((blob) => createImageBitmap(blob, options)));
    if (!alive || wanted !== (canvas.clientWidth || width) / width * (window.devicePixelRatio || 1)) {
      made.forEach((bitmap) => bitmap.close());
      return alive && resize();
    }
    layers.forEach((bitmap) => bitmap.close());
    layers = made;
    scale = wanted;
    [canvas.width, canvas.height] = size;
    draw();
  }
  function setScene() {
    const { width, height, alt } = store.scene;
    canvas.style.width = `${width}px`;
    canvas.style.aspectRatio = `${width} / ${height}`;
    canvas.setAttribute("aria-label", alt || "a figure that moves");
    scale = 0;
    resize();
  }
  const hear = (what) => (what === "scene" ? setScene() : ask());
  const watch = new ResizeObserver(() => resize());
  watch.observe(canvas);
  store.views.add(hear);
  setScene();
  draw();
  // Once it is in the page: the whole explorer, controls included.
  let letGo = () => {};
  requestAnimationFrame(() => { if (alive) letGo = keepKeys(el.closest(".nfteach-explorer") || root); });
  return () => {
    alive = false;
    letGo();
    controls.stop();
    cancelAnimationFrame(painted);
    watch.disconnect();
    store.views.delete(hear);
    layers.forEach((bitmap) => bitmap.close());
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
