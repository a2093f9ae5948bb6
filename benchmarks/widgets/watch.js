// Injected into every page of the benchmark before its own scripts. Records when an answer is in the page, when the
// screen frame that shows it has been painted, and its picture.
//
// The clock is the same for all variants: an answer counts once the browser has painted it. requestAnimationFrame runs
// just before a frame is painted, and a message posted there arrives just after, or later during a burst of events. Of
// several pictures in one frame the last counts.

window.bench = (() => {
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  const bench = { pressed: 0, released: 0, keep: false, notes: [], arrivals: [] };
  const channel = new MessageChannel();
  const waiting = []; // answers whose frame is not painted yet
  channel.port1.onmessage = () => {
    for (const one of waiting.splice(0)) one.painted = performance.now();
  };

  // The visible part of an answer, compared later, outside the measurement: of a canvas, every third pixel, since a copy
  // of all takes longer than a painting.
  const canvasesIn = (cell) => [...cell.querySelectorAll("canvas")].filter((one) => one.width && one.height).map(thinned);
  // Of an explorer, also where its handles stand, and its numbers: neither is painted on a canvas.
  const placed = (cell) => [...cell.querySelectorAll(".nfteach-handle, .nfteach-knob")].map((one) => one.getAttribute("transform") || one.getAttribute("cx")).join();
  const numbers = (cell) => [...cell.querySelectorAll(".nfteach-readout, .nfteach-frame-label")].map((one) => one.textContent).join();
  const shots = {
    label: (cell) => cell.querySelector(".widget-vbox > .widget-label").textContent,
    image: (cell) => [...cell.querySelectorAll(".widget-output img")].map((image) => image.src).join(),
    canvas: canvasesIn,
    live: (cell) => [placed(cell) + numbers(cell), ...canvasesIn(cell)],
  };
  const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const thinned = (canvas) => {
    const [width, height] = [Math.ceil(canvas.width / 3), Math.ceil(canvas.height / 3)];
    if (scratch.canvas.width !== width || scratch.canvas.height !== height) [scratch.canvas.width, scratch.canvas.height] = [width, height];
    scratch.imageSmoothingEnabled = false;
    scratch.clearRect(0, 0, width, height);
    draw.call(scratch, canvas, 0, 0, width, height);
    return scratch.getImageData(0, 0, width, height);
  };
  const digest = async (shot) => {
    const seen = await shot;
    if (typeof seen === "string") return seen;
    return seen.map((one) => {
      if (typeof one === "string") return one;
      const { data, width, height } = one;
      let hash = 2166136261;
      for (const pixel of new Uint32Array(data.buffer)) hash = Math.imul(hash ^ pixel, 16777619);
      return `${width}x${height}:${hash}`;
    }).join();
  };

  let shoot = null;
  let last = null;
  let open = null; // the answer that the next frame will show
  const note = () => {
    const frame = document.timeline.currentTime; // the same until the next frame begins
    if (open?.frame === frame) { open.shot = shoot(); return; }
    const one = { answered: performance.now(), framed: null, painted: null, frame, shot: shoot() };
    bench.notes.push((open = one));
    requestAnimationFrame(() => {
      one.framed = performance.now();
      waiting.push(one);
      channel.port2.postMessage(0);
    });
  };

  // Start watching a cell; the observer depends on the variant that draws the answers.
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
    // A live figure renumbers its canvas after each painting.
    explorer: (cell) => [cell, { subtree: true, attributes: true, attributeFilter: ["data-seq"] }, note],
  };
  watchers.kernel = watchers.explorer;
  let observer = null;
  let canvases = null; // the cell of ipympl
  bench.watch = async (cell, kind) => {
    observer?.disconnect();
    observer = canvases = null;
    shoot = () => shots[{ label: "label", interact: "image", ipympl: "canvas" }[kind] || "live"](cell);
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
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    draw.apply(this, args);
    if (canvases?.contains(this.canvas)) note();
  };

  // All changes of the picture since the last call, or since the key: the times of answering and of painting.
  bench.changes = async () => {
    const found = [];
    for (const { answered, framed, painted, shot } of bench.notes.splice(0)) {
      if (framed === null) continue; // not shown by any frame yet
      const now = await digest(shot);
      if (now !== last) found.push({ answered, framed, painted: painted ?? framed });
      last = now;
    }
    const { pressed, released, arrivals } = bench;
    return { pressed, released, arrivals, origin: performance.timeOrigin, changes: found };
  };
  // Milliseconds since the last recorded answer; Infinity if there are none.
  bench.quiet = () => (bench.notes.length ? performance.now() - bench.notes.at(-1).answered : Infinity);

  // Set a slider on every frame of the screen, to and fro, by key events that come from here.
  bench.sweep = async (handle, seconds) => {
    const began = performance.now();
    const end = (name) => handle.getAttribute("aria-valuenow") === handle.getAttribute(`aria-value${name}`);
    let key = "ArrowRight";
    for (let k = 0; performance.now() - began < 1000 * seconds; k++) {
      await new Promise(requestAnimationFrame);
      if (end("max")) key = "ArrowLeft"; // a slider with few values turns sooner
      else if (end("min")) key = "ArrowRight";
      else if (k % 15 === 14) key = key === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
      handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    }
    return [began, performance.now()];
  };

  document.addEventListener("keydown", () => {
    if (bench.keep) return;
    bench.pressed = performance.now();
    open = null;
    bench.notes = [];
    bench.arrivals = [];
  }, true);
  document.addEventListener("mouseup", () => { bench.released = performance.now(); }, true);

  // Arrival times and sizes of the server's messages, for --profile.
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
