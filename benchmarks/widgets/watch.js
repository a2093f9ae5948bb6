// In every page of the benchmark, before anything else runs: notes when an answer is in the page, when the frame of the
// screen that holds it has been painted, and what it looked like.
//
// One clock for all variants: an answer counts once the browser has painted it. requestAnimationFrame runs just before
// a frame is painted, and a message posted there arrives just after; while events rush in, maybe later. What a frame
// shows is looked at once, however much was drawn since the last.

window.bench = (() => {
  const bench = { pressed: 0, released: 0, keep: false, notes: [], arrivals: [] };
  const channel = new MessageChannel();
  const waiting = []; // for the end of a frame
  channel.port1.onmessage = () => {
    for (const one of waiting.splice(0)) one.painted = performance.now();
  };

  // What the eye sees of an answer. Copies of canvases are cheap; they are compared later, off the clock.
  const shots = {
    label: (cell) => cell.querySelector(".widget-vbox > .widget-label").textContent,
    image: (cell) => [...cell.querySelectorAll(".widget-output img")].map((image) => image.src).join(),
    canvas: (cell) => Promise.all([...cell.querySelectorAll("canvas")].filter((one) => one.width && one.height).map((one) => createImageBitmap(one))),
  };
  const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const digest = async (shot) => {
    const seen = await shot;
    if (typeof seen === "string") return seen;
    return seen.map((bitmap) => {
      const { width, height } = bitmap;
      [scratch.canvas.width, scratch.canvas.height] = [width, height];
      scratch.drawImage(bitmap, 0, 0);
      bitmap.close();
      let hash = 2166136261;
      for (const pixel of new Uint32Array(scratch.getImageData(0, 0, width, height).data.buffer)) hash = Math.imul(hash ^ pixel, 16777619);
      return `${width}x${height}:${hash}`;
    }).join();
  };

  let shoot = null;
  let last = null;
  let open = null; // what the next frame will show
  const note = () => {
    if (open) return;
    const one = { answered: performance.now(), framed: null, painted: null, shot: null };
    bench.notes.push((open = one));
    requestAnimationFrame(() => {
      if (open === one) open = null;
      one.framed = performance.now();
      one.shot = shoot();
      waiting.push(one);
      channel.port2.postMessage(0);
    });
  };

  // Begin to watch a cell; how its answers are seen depends on what draws them.
  const watchers = {
    label: (cell) => [cell.querySelector(".widget-vbox > .widget-label"), { subtree: true, childList: true, characterData: true }, note],
    interact: (cell) => [cell, { subtree: true, childList: true }, (changes) => {
      for (const { addedNodes } of changes) {
        for (const node of addedNodes) {
          const image = node.tagName === "IMG" ? node : node.querySelector?.("img");
          if (image) image.decode().then(note, () => {});
        }
      }
    }],
    // A live figure numbers its canvas anew whenever it has painted on it.
    explorer: (cell) => [cell, { subtree: true, attributes: true, attributeFilter: ["data-seq"] }, note],
  };
  let observer = null;
  let canvases = null; // of ipympl
  bench.watch = async (cell, kind) => {
    observer?.disconnect();
    observer = canvases = null;
    shoot = () => shots[{ label: "label", interact: "image" }[kind] || "canvas"](cell);
    if (kind === "ipympl") canvases = cell;
    else {
      const [target, options, callback] = watchers[kind](cell);
      observer = new MutationObserver(callback);
      observer.observe(target, options);
    }
    open = null;
    bench.notes = [];
    last = await digest(shoot());
  };
  const { drawImage } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    if (canvases?.contains(this.canvas)) note();
    return drawImage.apply(this, args);
  };

  // Every change of the picture since the last call, or since the key: when it came, when it was painted.
  bench.changes = async () => {
    const found = [];
    for (const { answered, framed, painted, shot } of bench.notes.splice(0)) {
      if (shot === null) continue; // no frame shows it yet
      const now = await digest(shot);
      if (now !== last) found.push({ answered, framed, painted: painted ?? framed });
      last = now;
    }
    const { pressed, released, arrivals } = bench;
    return { pressed, released, arrivals, origin: performance.timeOrigin, changes: found };
  };
  // Milliseconds since something was last noted; Infinity if there is nothing yet.
  bench.quiet = () => (bench.notes.length ? performance.now() - bench.notes.at(-1).answered : Infinity);

  document.addEventListener("keydown", () => {
    if (bench.keep) return;
    bench.pressed = performance.now();
    open = null;
    bench.notes = [];
    bench.arrivals = [];
  }, true);
  document.addEventListener("mouseup", () => { bench.released = performance.now(); }, true);

  // When messages came from the server, and how large: for --profile.
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (!bench.keep) bench.arrivals.push({ at: performance.now(), size: data.byteLength ?? data.size ?? data.length });
      });
    }
  };
  return bench;
})();
