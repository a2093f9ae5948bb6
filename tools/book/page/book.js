// A page of the book: theme, contents, search, and the widgets, which are made when they come near the window.

const root = document.documentElement;
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A page from a file can't fetch, but it can add a script.
const load = (address) => new Promise((resolve, reject) => {
  const script = make("script", { src: address });
  Object.assign(script, { onload: resolve, onerror: reject });
  document.head.append(script);
});

// ---- light and dark ----

function setTheme(dark) {
  root.dataset.jpThemeLight = String(!dark);
  byId("theme").setAttribute("aria-pressed", String(dark));
}
setTheme(root.dataset.jpThemeLight === "false");
byId("theme").addEventListener("click", () => {
  const dark = root.dataset.jpThemeLight === "true";
  setTheme(dark);
  try { localStorage.setItem("nfteach-theme", dark ? "dark" : "light"); } catch { /* not kept here */ }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
  try { if (localStorage.getItem("nfteach-theme")) return; } catch { /* not kept here */ }
  setTheme(matches);
});

// Paper is white.
let screen = null;
matchMedia("print").addEventListener("change", ({ matches }) => {
  if (matches) screen = root.dataset.jpThemeLight;
  setTheme(!matches && screen === "false");
});

// ---- contents ----

const contents = byId("contents");
const button = byId("contents-button");
function openContents(open) {
  contents.classList.toggle("open", open);
  button.setAttribute("aria-expanded", String(open));
}
button.addEventListener("click", () => openContents(!contents.classList.contains("open")));
contents.addEventListener("click", (event) => { if (event.target.closest("a")) openContents(false); });
document.addEventListener("pointerdown", ({ target }) => { if (!contents.contains(target) && target !== button) openContents(false); });
contents.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });

// The section that is read, in the contents.
const places = new Map([...contents.querySelectorAll("ol ol a")].map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
const headings = [...document.querySelectorAll("h2[id]")].filter(({ id }) => places.has(id));
function follow() {
  const here = headings.findLast((heading) => heading.getBoundingClientRect().top < 120);
  for (const [id, link] of places) link.classList.toggle("here", id === here?.id);
}
let waiting = false;
addEventListener("scroll", () => {
  if (!waiting) requestAnimationFrame(() => { waiting = false; follow(); });
  waiting = true;
}, { passive: true });
follow();

// ---- search ----

const field = byId("search");
const found = byId("found");
let searched = null;

const ready = () => (searched ??= Promise.all([load("assets/minisearch.js"), load("assets/search.js")]).then(() => {
  const engine = new window.MiniSearch({
    fields: ["title", "text"],
    searchOptions: { boost: { title: 3 }, prefix: (term) => term.length > 2, fuzzy: (term) => (term.length > 4 ? 0.25 : 0), combineWith: "AND" },
  });
  engine.addAll(window.book.sections.map(([, , title, text], id) => ({ id, title, text })));
  return engine;
}));

// The words around the first match, with the matches marked.
function excerpt(text, terms) {
  const word = new RegExp(`(${terms.map((term) => term.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|")})`, "giu");
  const at = Math.max(0, text.search(word) - 50);
  const start = at && text.indexOf(" ", at) + 1;
  const piece = `${start ? "… " : ""}${text.slice(start, start + 140)}${text.length > start + 140 ? " …" : ""}`;
  return piece.split(word).map((part, index) => (index % 2 ? make("mark", {}, part) : part));
}

async function search() {
  const engine = await ready();
  const words = field.value.trim();
  const results = words ? engine.search(words).slice(0, 12) : [];
  found.replaceChildren(...results.map(({ id, terms }, index) => {
    const [page, anchor, title, text] = window.book.sections[id];
    const [address, name] = window.book.pages[page];
    const link = make("a", { href: anchor ? `${address}#${anchor}` : address, tabindex: -1 }, make("strong", {}, title));
    if (name !== title) link.append(make("small", {}, name));
    link.append(make("span", {}, ...excerpt(text, terms)));
    return make("li", { role: "option", id: `found-${index}`, "aria-selected": "false" }, link);
  }));
  if (words && !results.length) found.append(make("li", { class: "none" }, "Nothing found."));
  show(Boolean(words));
}

function show(open) {
  found.hidden = !open;
  field.setAttribute("aria-expanded", String(open));
  field.removeAttribute("aria-activedescendant");
}

function choose(step) {
  const options = [...found.querySelectorAll("[role=option]")];
  if (!options.length) return;
  const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  const next = options[(now + step + options.length + (now < 0 && step < 0 ? 1 : 0)) % options.length];
  for (const option of options) option.setAttribute("aria-selected", String(option === next));
  field.setAttribute("aria-activedescendant", next.id);
  next.scrollIntoView({ block: "nearest" });
}

field.addEventListener("focus", ready, { once: true });
field.addEventListener("input", search);
field.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) choose(step);
  else if (event.key === "Enter") (found.querySelector("[aria-selected=true] a") ?? found.querySelector("a"))?.click();
  else if (event.key === "Escape") show(false);
  else return;
  event.preventDefault();
});
found.addEventListener("click", ({ target }) => { if (target.closest("a")) show(false); });
document.addEventListener("pointerdown", ({ target }) => { if (!target.closest(".search")) show(false); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  event.preventDefault();
  field.focus();
});

// ---- widgets ----

const content = (id) => JSON.parse(byId(id).textContent);

// The state of all models; long texts that occur in it again are stored once.
function readModels() {
  const { texts, models } = content("models");
  const whole = (value) => {
    if (typeof value === "string") return value[0] === "\ue000" ? texts[value.slice(1)] : value;
    if (Array.isArray(value)) return value.map(whole);
    return value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, whole(one)])) : value;
  };
  return whole(models);
}

// Predictions have their formulas set as those of the page are: by MathJax, when the book was built.
function offerFormulas() {
  const formulas = content("formulas");
  window.MathJax = {
    Hub: { Queue() {} }, // the labels of sliders have no formulas
    typesetPromise: async (places) => { for (const place of places) if (formulas[place.dataset.tex]) place.innerHTML = formulas[place.dataset.tex]; },
  };
}

// A model, and all that it refers to.
function reach(id, models, reached = {}) {
  if (reached[id]) return reached;
  const model = (reached[id] = models[id]);
  for (const [, other] of JSON.stringify(model.state).matchAll(/"(?:IPY_MODEL_)?([0-9a-f]{32})"/g)) if (models[other]) reach(other, models, reached);
  return reached;
}

function makeWidgets(manager, models) {
  for (const { state } of Object.values(models)) {
    for (const key of ["_esm", "_css"]) if (state[key]) state[key] = window.shared[state[key]];
  }
  async function open(place) {
    const { model: id } = place.dataset;
    await manager.set_state({ version_major: 2, version_minor: 0, state: reach(id, models) });
    const view = await manager.create_view(await manager.get_model(id));
    if (place.querySelector("img")) place.style.minHeight = `${place.offsetHeight}px`; // what stands below stays there
    place.replaceChildren();
    await manager.display_view(view, place);
    place.dataset.live = "";
    setTimeout(() => place.style.removeProperty("min-height"), 1000);
  }
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      open(target).catch((error) => console.error(`The widget in ${location.pathname} can't be shown:`, error));
    }
  }, { rootMargin: "600px" });
  for (const place of document.querySelectorAll(".widget[data-model]")) near.observe(place);
}

if (window.require && byId("models")) {
  offerFormulas();
  const loader = (name) => new Promise((resolve, reject) => { window.require([name], resolve, reject); });
  window.require(["@jupyter-widgets/html-manager"], ({ HTMLManager }) => makeWidgets(new HTMLManager({ loader }), readModels()));
}
