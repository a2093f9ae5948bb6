// The browser's side of Prediction: asks, judges and answers by itself; the kernel is only told what was committed.
// A plain ES module for anywidget; no dependency. All texts become text nodes, never markup.

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const TRIES = 2;

// ---- numbers, by the grammar of number.py ----

const LONGEST = 80;
const NUMBER = "(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[+-]?[0-9]+)?";
const TOKEN = new RegExp(`${NUMBER}|log(?:2|10)(?=\\s*\\()|[a-z]+|[π√]|\\*\\*|[-+*/^()%]`, "g");
const PLAIN = /^[+-]?\s*0*([0-9]*)(?:[.,]([0-9]*))?(?:e([+-]?[0-9]+))?\s*(%?)$/;
const THOUSANDS = /^[1-9][0-9]{0,2},[0-9]{3}$/;
const CONSTANTS = { e: Math.E, pi: Math.PI, "π": Math.PI };
const FUNCTIONS = { log: Math.log, ln: Math.log, log2: Math.log2, log10: Math.log10, exp: Math.exp, sqrt: Math.sqrt,
  "√": Math.sqrt, abs: Math.abs };
const NOT_A_NUMBER = "Type a number, such as 0.5, 1/3 or log(2).";

const simple = (text) => text.toLowerCase().replace(/[\u2212\u2013]/g, "-").replaceAll("×", "*").replaceAll("·", "*").replaceAll("÷", "/");

function fail(words) { throw new SyntaxError(words); }

function evaluate(text) {
  const source = simple(text);
  const tokens = source.match(TOKEN) || [];
  if (!tokens.length || source.length > LONGEST || tokens.join("") !== source.replace(/\s/g, "")) fail(NOT_A_NUMBER);
  for (const token of tokens.filter((one) => THOUSANDS.test(one))) {
    fail(`${token} can be read in two ways; type ${token.replace(",", "")} or ${token.replace(",", ".")}.`);
  }
  let bare = false; // the last factor was a function without parentheses
  const take = (...wanted) => (wanted.includes(tokens[0]) ? tokens.shift() : "");
  const finite = (value) => (Number.isFinite(value) ? value : fail("That is not finite. Type a number."));

  function total() {
    let value = product();
    for (let sign; (sign = take("+", "-"));) value = finite(sign === "+" ? value + product() : value - product());
    return value;
  }

  function product() {
    let value = signed();
    for (let before, sign = ""; ;) {
      [before, sign] = [sign, take("*", "/")];
      if (sign) value = finite(sign === "*" ? value * signed() : value / signed());
      else if (/^[(a-zπ√]/.test(tokens[0] ?? "")) {
        if (before === "/" || bare) fail("That can be read in two ways; type parentheses or *.");
        value = finite(value * power());
      } else return value;
    }
  }

  function signed() {
    const sign = take("+", "-");
    return sign ? (sign === "-" ? -signed() : signed()) : power();
  }

  function power() {
    let value = primary();
    while (take("%")) value /= 100;
    return take("^", "**") ? finite(value ** signed()) : value;
  }

  function primary() {
    const token = tokens.shift() ?? "";
    bare = false;
    if (token === "(") {
      const value = total();
      if (!take(")")) fail(NOT_A_NUMBER);
      bare = false;
      return value;
    }
    if (Object.hasOwn(FUNCTIONS, token)) {
      const open = tokens[0] !== "(";
      const value = finite(FUNCTIONS[token](open ? power() : primary()));
      bare = open;
      return value;
    }
    if (Object.hasOwn(CONSTANTS, token)) return CONSTANTS[token];
    if (!/^[0-9.,]/.test(token)) fail(NOT_A_NUMBER);
    return finite(Number(token.replace(",", ".")));
  }

  const value = total();
  return tokens.length ? fail(NOT_A_NUMBER) : value;
}

// The value of what is typed, and half a unit of its last digit; or what to complain about.
function read(text, unit) {
  let typed = text.trim();
  if (unit && typed.endsWith(unit)) typed = typed.slice(0, -unit.length).trimEnd();
  let value;
  try { value = evaluate(typed); } catch (error) { return { complaint: error.message }; }
  const [plain, before, after = "", exponent, percent] = PLAIN.exec(simple(typed)) || [];
  if (plain === undefined || (before + after).replace(/^0+/, "").length < 2) return { value, reach: 0, typed, plain };
  const last = Number(exponent || 0) - after.length - (percent ? 2 : 0);
  return { value, reach: 0.5 * (1 + 1e-9) * 10 ** last, typed, plain };
}

// ---- judging, as in spec.py ----

const fits = ({ value, reach }, target) => Math.abs(value - target.value) <= Math.max(reach, target.tolerance);

function judge(spec, committed) {
  if (spec.choices) return [committed === spec.right, spec.choices[committed].feedback];
  const typed = read(committed, spec.number.unit);
  if (fits(typed, spec.number)) return [true, spec.number.feedback];
  return [false, (spec.number.wrong.find((slip) => fits(typed, slip)) || { feedback: spec.number.otherwise }).feedback];
}

// ---- building ----

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

// A text with `code`, $TeX$, $$TeX$$, **strong**, *emphasis*, \\ before a plain mark, and paragraphs. Stars that touch a
// space on the inside are multiplication.
const MARKED = new RegExp([/\\([\\`*$])/, /`([^`]+)`/, /\$\$((?:\\.|[^$\\])+)\$\$/, /\$((?:\\.|[^$\\])+)\$/,
  /\*\*(\S|\S.*?\S)\*\*/, /\*([^*\s]|[^*\s][^*]*[^*\s])\*/, /(\n\n)/].map((one) => one.source).join("|"), "gs");

function build(text) {
  const nodes = document.createDocumentFragment();
  let at = 0;
  for (const match of text.matchAll(MARKED)) {
    const [all, plain, code, display, tex, strong, em] = match;
    nodes.append(text.slice(at, match.index));
    at = match.index + all.length;
    if (plain) nodes.append(plain);
    else if (code) nodes.append(make("code", "", code));
    else if (strong) nodes.append(make("strong", "", build(strong)));
    else if (em) nodes.append(make("em", "", build(em)));
    else if (display || tex) {
      nodes.append(make("span", `nfteach-tex${display ? " nfteach-display" : ""}`));
      nodes.lastChild.dataset.tex = display || tex;
    } else nodes.append(make("span", "nfteach-break"));
  }
  nodes.append(text.slice(at));
  return nodes;
}

const texts = (node) => (typeof node === "string" ? [node] : Object.values(node ?? {}).flatMap(texts));
const formulas = (root) => [...root.querySelectorAll(".nfteach-tex")].map(({ dataset }) => dataset.tex);

function drawn({ path, width, height, depth }, tex) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 ${-height} ${width} ${height + depth}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", tex);
  // Computer Modern is small for its size: MathJax, too, makes its letters as high as those around them.
  const em = (size) => `${(1.2 * size) / 100}em`;
  // A slanted letter leans out of its box, in TeX too: it is not cut.
  svg.style.cssText = `width: ${em(width)}; height: ${em(height + depth)}; vertical-align: ${em(-depth)}; ` +
    "overflow: visible; fill: currentColor";
  const glyphs = document.createElementNS("http://www.w3.org/2000/svg", "path");
  glyphs.setAttribute("d", path);
  svg.append(glyphs);
  return svg;
}

// What the page has to set TeX with: JupyterLab's and Notebook 7's typesetter (the door that HTMLMath uses), or MathJax.
// It is given the formulas only: a plain dollar in the words around them stays one.
function findTypesetter(model) {
  const own = model.widget_manager?._rendermime?.latexTypesetter;
  if (own) return (places) => places.forEach((place) => own.typeset(place));
  const MathJax = window.MathJax;
  if (MathJax?.typesetPromise) return (places) => MathJax.typesetPromise(places);
  if (MathJax?.Hub?.Queue) return (places) => MathJax.Hub.Queue(["Typeset", MathJax.Hub, places]);
  return null;
}

// ---- outputs that answer a prediction ----

const CELL = ".jp-Cell, .cell"; // of a notebook, of the book
const WAITS = "nfteach-waits";
const FOLDED = ".jp-OutputPlaceholder .jp-Placeholder-content"; // an output that JupyterLab stored as folded
const ASKS = /^\s*(?:predict|Prediction)\(/m;

// The cells between a prediction and the next one that are tagged as its answers.
function outputsThatAnswer(root, model) {
  const found = [];
  const cells = model.widget_manager?.context?.model?.cells; // JupyterLab's and Notebook 7's
  for (let cell = root.closest(CELL)?.nextElementSibling; cell; cell = cell.nextElementSibling) {
    const { windowedListIndex: index } = cell.dataset;
    const known = cells && index < cells.length ? cells.get(Number(index)) : null;
    if (cell.matches(".asks") || ASKS.test(known?.sharedModel.getSource() ?? "")) break;
    if (cell.querySelector("details.reveals") || known?.getMetadata("tags")?.includes("reveals")) found.push(cell);
  }
  return found;
}

// Keeps its answers out of sight until a prediction is answered.
function fold(root, model, answered) {
  for (const cell of outputsThatAnswer(root, model)) {
    const waits = !answered && !cell.dataset.answered;
    cell.classList.toggle(WAITS, waits);
    if (!answered || cell.dataset.answered) continue;
    cell.dataset.answered = "yes"; // opened once: a learner may fold it again
    cell.querySelector(FOLDED)?.click();
    cell.querySelector("details.reveals")?.setAttribute("open", "");
  }
}

let made = 0;

function render({ model, el }) {
  const spec = model.get("_spec");
  const name = `nfteach-prediction-${++made}-${Math.random().toString(36).slice(2, 8)}`;
  const typeset = findTypesetter(model);
  let visible = false;

  const tell = (action) => { try { action(); } catch { /* no kernel to tell: the page goes on without it */ } };

  // Fills the places of formulas in `root` that are still empty, or show TeX as typed.
  function setFormulas(root) {
    const places = [...root.querySelectorAll(".nfteach-tex:not([data-set])")];
    for (const place of places) {
      const { tex } = place.dataset;
      const display = place.classList.contains("nfteach-display");
      const picture = model.get("_pictures")[tex];
      if (typeset) place.textContent = display ? `\\[${tex}\\]` : `\\(${tex}\\)`;
      else if (picture) place.replaceChildren(drawn(picture, tex));
      else place.textContent = `$${tex}$`;
      // Formulas in a page that is not shown have no size to be measured: they are set once there is one.
      if (typeset ? visible : picture) place.dataset.set = "";
    }
    if (typeset && visible && places.length) typeset(places);
  }

  const question = make("div", "nfteach-question", make("strong", "nfteach-tag", "Predict"), " ", build(spec.question));
  question.id = `${name}-question`;

  const rows = [];
  let field = null;
  const answers = make("div", "nfteach-answers");
  if (spec.choices) {
    answers.setAttribute("role", "radiogroup");
    answers.setAttribute("aria-labelledby", question.id);
    spec.choices.forEach((choice, index) => {
      const input = make("input");
      Object.assign(input, { type: "radio", name, value: String(index) });
      const mark = make("span", "nfteach-mark");
      const words = make("span", "nfteach-label", build(choice.label));
      const row = make("label", "nfteach-choice", input, make("span", "nfteach-letter", `${LETTERS[index]})`), words, mark);
      rows.push({ row, input, mark });
      answers.append(row);
    });
  } else {
    field = make("input", "nfteach-number");
    Object.assign(field, { type: "text", id: `${name}-number`, autocomplete: "off", spellcheck: false });
    const label = make("label", "", "Your number");
    label.htmlFor = field.id;
    const near = make("div", "nfteach-near",
      spec.number.whole ? "A whole number." : "Two digits are enough; an expression such as log(2)/3 works, too.");
    near.id = `${name}-near`;
    answers.append(label, field, make("span", "nfteach-unit", spec.number.unit), near);
    field.setAttribute("aria-describedby", `${name}-near ${name}-complaint`);
    if (spec.number.unit) field.setAttribute("aria-label", `Your number in ${spec.number.unit}`);
  }

  // It is there from the start: screen readers announce what changes in a region, not a region that appears.
  const verdict = make("div", "nfteach-verdict");
  verdict.setAttribute("role", "status");
  verdict.setAttribute("aria-live", "polite");
  verdict.tabIndex = -1;
  const commit = make("button", "nfteach-commit", "Commit");
  commit.type = "submit";
  const give = make("button", "nfteach-give-up", "Show the answer");
  give.type = "button";
  const left = make("span", "nfteach-near");
  const complaint = make("span", "nfteach-complaint");
  complaint.id = `${name}-complaint`;
  complaint.setAttribute("role", "alert");
  const actions = make("div", "nfteach-actions", commit, give, left, complaint);

  const form = make("form", "", question, answers, verdict, actions);
  form.noValidate = true;
  const root = make("div", "nfteach-prediction", form);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Prediction");

  // One of: open, again (one try was wrong), right, wrong.
  function state() {
    const tries = model.get("_tries");
    if (tries.length && judge(spec, tries.at(-1))[0]) return "right";
    if (model.get("_given_up") || tries.length >= TRIES) return "wrong";
    return tries.length ? "again" : "open";
  }

  const strong = (className, ...children) => make("strong", className, ...children);
  const letter = (index) => strong("", `${LETTERS[index]})`);
  const quantity = (text) => strong("", text.replace(/^-/, "\u2212"), spec.number.unit && `\u00a0${spec.number.unit}`);

  function given(committed, right) {
    if (spec.choices) return [" You chose ", letter(committed), ". "];
    const { typed, plain, value } = read(committed, spec.number.unit);
    const meant = plain === undefined && !right ? `, which is ${String(Number(value.toPrecision(4))).replace("-", "\u2212")}` : "";
    return [" You said ", quantity(typed), meant, ". "];
  }

  function outcome(state, tries) {
    const told = [];
    if (tries.length) {
      const [right, feedback] = judge(spec, tries.at(-1));
      const head = right ? (tries.length > 1 ? "✓ Right at the second try." : "✓ Right.") : "✗ Not quite.";
      const exact = right && !spec.choices ? ["The answer is ", quantity(spec.number.shown), ". "] : [];
      told.push(make("p", "", strong("", head), ...given(tries.at(-1), right), ...exact, build(feedback)));
    }
    if (state === "wrong") {
      const { label, feedback } = spec.choices ? spec.choices[spec.right] : spec.number;
      const answer = spec.choices
        ? [letter(spec.right), " ", strong("", build(label)), /[.!?…]$/.test(label) ? " " : ". "]
        : [quantity(spec.number.shown), ". "];
      told.push(make("p", "", strong("", "✓ The answer:"), " ", ...answer, build(feedback)));
    }
    return told;
  }

  function show() {
    const tries = model.get("_tries");
    const now = state();
    const done = now === "right" || now === "wrong";
    root.dataset.state = now;
    actions.hidden = done;
    give.hidden = now !== "again";
    left.textContent = now === "again" ? "One try left." : "You have two tries.";
    complaint.textContent = "";
    rows.forEach(({ row, input, mark }, index) => {
      const wrong = tries.includes(index) && index !== spec.right;
      const right = done && index === spec.right;
      input.disabled = done || wrong;
      input.checked = done ? index === tries.at(-1) : input.checked && !wrong;
      row.classList.toggle("nfteach-is-right", right);
      row.classList.toggle("nfteach-is-wrong", wrong);
      mark.textContent = right ? (tries.includes(index) ? "✓ your choice" : "✓ the answer") : wrong ? "✗ your choice" : "";
    });
    if (field) {
      field.readOnly = done;
      if (tries.length) field.value = tries.at(-1);
    }
    verdict.replaceChildren(...outcome(now, tries));
    setFormulas(verdict);
    refold();
  }

  const refold = () => fold(root, model, ["right", "wrong"].includes(state()));
  // JupyterLab takes cells far out of view from the page, and puts them back.
  const moved = new MutationObserver(refold);

  // After an answer: to the verdict, or to where one answers again.
  function focus() {
    if (state() !== "again") verdict.focus();
    else if (field) field.select();
    else rows.find(({ input }) => !input.disabled).input.focus();
  }

  function complain(words, input) {
    complaint.textContent = words;
    if (field) field.setAttribute("aria-invalid", "true");
    input.focus();
  }

  function submit(event) {
    event.preventDefault();
    const tries = model.get("_tries");
    if (actions.hidden) return;
    const value = field ? field.value.trim() : rows.findIndex(({ input }) => input.checked);
    if (value === -1) return complain("Choose one first.", rows.find(({ input }) => !input.disabled).input);
    if (field) {
      const { complaint: words } = read(value, spec.number.unit);
      if (words) return complain(words, field);
      if (tries.includes(value)) return complain("That was your first try.", field);
    }
    model.set("_tries", [...tries, value]);
    focus();
    tell(() => model.save_changes());
  }

  function giveUp() {
    model.set("_given_up", true);
    focus();
    tell(() => model.save_changes());
  }

  // The notebook has meanings of its own for letters, arrows and Enter: it does not get them from here. Shift+Enter still
  // runs the cell, and Ctrl+S saves.
  const passes = (event) => event.ctrlKey || event.metaKey || (event.shiftKey && event.key === "Enter");
  // Notebook 7 looks at keys on their way down to here: too early for stopPropagation. But it leaves alone what has this
  // attribute: the very element that the key is for, since what is around that comes too late in its search.
  const guard = (event) => root.contains(event.target) &&
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !passes(event));

  function keydown(event) {
    if (passes(event)) return;
    event.stopPropagation();
    // A key held down commits once.
    if (event.key === "Enter" && event.repeat) event.preventDefault();
    else if (event.key === "Enter" && event.target.type === "radio") {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  const unmark = () => { complaint.textContent = ""; field?.removeAttribute("aria-invalid"); };
  const repaint = () => setFormulas(root);
  const watched = [["change:_tries", show], ["change:_given_up", show], ["change:_pictures", repaint]];
  form.addEventListener("submit", submit);
  form.addEventListener("input", unmark);
  give.addEventListener("click", giveUp);
  root.addEventListener("keydown", keydown);
  root.addEventListener("focusin", () => window.addEventListener("keydown", guard, true));
  root.addEventListener("focusout", () => window.removeEventListener("keydown", guard, true));
  for (const [event, handler] of watched) model.on(event, handler);
  show();
  setFormulas(root);
  el.append(root);
  const asked = [...new Set(texts(spec).flatMap((text) => formulas(build(text))))];
  if (!typeset && asked.length) tell(() => model.send({ type: "pictures", formulas: asked }));
  const observer = new ResizeObserver(([entry]) => {
    if (!entry.contentRect.width) return;
    observer.disconnect();
    visible = true;
    setFormulas(root);
    refold();
    const cell = root.closest(CELL);
    if (cell) moved.observe(cell.parentElement, { childList: true });
  });
  observer.observe(root);
  return () => {
    observer.disconnect();
    moved.disconnect();
    window.removeEventListener("keydown", guard, true);
    for (const [event, handler] of watched) model.off(event, handler);
  };
}

export { build, judge, read };
export default { render };
