// The browser's side of Prediction: asks, judges and answers by itself; the kernel is only told what was committed.
// A plain ES module for anywidget; no dependency. All texts come as pieces and become text nodes, never markup.

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const PLAIN = "[+-]?(\\d+([.,]\\d*)?|[.,]\\d+)(e[+-]?\\d+)?";
const NUMBER = new RegExp(`^${PLAIN}(\\s*/\\s*${PLAIN})?$`, "i");
const THOUSANDS = /^[+-]?[1-9]\d{0,2},\d{3}$/;
const TAGS = { strong: "strong", em: "em", code: "code" };

// ---- reading and judging, as `read` and `judge` in spec.py ----

function read(text, unit) {
  let typed = text.trim().replaceAll("\u2212", "-");
  if (unit && typed.endsWith(unit)) typed = typed.slice(0, -unit.length).trimEnd();
  if (!NUMBER.test(typed)) return { complaint: "Type a number, such as 0.5, -2 or 1/3." };
  const parts = typed.split("/").map((part) => part.trim());
  for (const part of parts) {
    if (THOUSANDS.test(part)) {
      return { complaint: `${part} can be read in two ways; type ${part.replace(",", "")} or ${part.replace(",", ".")}.` };
    }
  }
  const values = parts.map((part) => Number(part.replace(",", ".")));
  const value = values.length === 1 ? values[0] : values[0] / values[1];
  return Number.isFinite(value) ? { value, typed } : { complaint: "That is not finite. Type a number, such as 0.5, -2 or 1/3." };
}

const within = (value, { low, high }) => (low === null || value >= low) && (high === null || value <= high);

function judge(spec, committed) {
  if (spec.choices) return [committed === spec.right, spec.choices[committed].feedback];
  const { value } = read(committed, spec.number.unit_plain);
  if (within(value, spec.number)) return [true, spec.number.explanation];
  const slip = spec.number.wrong.find((one) => within(value, one));
  return [false, slip ? slip.feedback : spec.number.otherwise];
}

// ---- building ----

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function build(pieces) {
  const nodes = document.createDocumentFragment();
  for (const [kind, content] of pieces) {
    if (kind === "text") nodes.append(content);
    else if (kind === "break") nodes.append(make("span", "nfteach-break"));
    else if (kind === "tex" || kind === "display") {
      const span = make("span", `nfteach-tex${kind === "display" ? " nfteach-display" : ""}`);
      span.dataset.tex = content;
      nodes.append(span);
    } else nodes.append(make(TAGS[kind], "", Array.isArray(content) ? build(content) : content));
  }
  return nodes;
}

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
    const { unit, tolerance } = spec.number;
    field = make("input", "nfteach-number");
    Object.assign(field, { type: "text", id: `${name}-number`, autocomplete: "off", spellcheck: false });
    const label = make("label", "", "Your number");
    label.htmlFor = field.id;
    answers.append(label, field);
    if (unit.length) {
      const shown = make("span", "nfteach-unit", build(unit));
      shown.id = `${name}-unit`;
      answers.append(shown);
    }
    if (tolerance) {
      const near = make("span", "nfteach-near", `to within ${tolerance}`);
      near.id = `${name}-near`;
      answers.append(near);
    }
    const described = [unit.length && `${name}-unit`, tolerance && `${name}-near`, `${name}-complaint`].filter(Boolean);
    field.setAttribute("aria-describedby", described.join(" "));
  }

  const commit = make("button", "nfteach-commit", "Commit");
  commit.type = "submit";
  const hint = make("span", "nfteach-near", "Then you see the answer.");
  const complaint = make("span", "nfteach-complaint");
  complaint.id = `${name}-complaint`;
  complaint.setAttribute("role", "alert");
  const before = make("div", "nfteach-actions", commit, hint, complaint);
  // It is there from the start: screen readers announce what changes in a region, not a region that appears.
  const verdict = make("div", "nfteach-verdict");
  verdict.setAttribute("role", "status");
  verdict.setAttribute("aria-live", "polite");
  verdict.tabIndex = -1;
  const again = make("button", "nfteach-again", "Think again");
  again.type = "button";
  const after = make("div", "nfteach-actions", again);

  const form = make("form", "", question, answers, before, verdict, after);
  form.noValidate = true;
  const root = make("div", "nfteach-prediction", form);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Prediction");

  function outcome(committed) {
    const [right, feedback] = judge(spec, committed);
    const letter = (index) => make("strong", "", `${LETTERS[index]})`);
    const paragraph = (...children) => make("p", "", ...children);
    const head = (words) => make("strong", `nfteach-head ${right ? "nfteach-right" : "nfteach-wrong"}`, words);
    const answer = (words) => make("strong", "nfteach-head nfteach-right", words);
    const told = feedback.length ? [" ", build(feedback)] : [];
    if (spec.choices) {
      if (right) return [paragraph(head("✓ Right."), " You chose ", letter(committed), ".", ...told)];
      const { label, plain, feedback: why } = spec.choices[spec.right];
      const full = /[.!?…]$/.test(plain) ? " " : ". ";
      return [
        paragraph(head("✗ Not quite."), " You chose ", letter(committed), ".", ...told),
        paragraph(answer("✓ The answer:"), " ", letter(spec.right), " ", make("strong", "", build(label)), full, build(why)),
      ];
    }
    const { unit, unit_plain, shown, explanation } = spec.number;
    const quantity = (text) => make("strong", "", text, ...(unit.length ? ["\u00a0", build(unit)] : []));
    const said = [" You said ", quantity(read(committed, unit_plain).typed), "."];
    if (right) return [paragraph(head("✓ Right."), ...said, " The answer is ", quantity(shown), ".", ...told)];
    return [
      paragraph(head("✗ Not quite."), ...said, ...told),
      paragraph(answer("✓ The answer:"), " ", quantity(shown), ". ", build(explanation)),
    ];
  }

  function show() {
    const committed = model.get("_committed");
    const open = committed === null || committed === undefined;
    root.dataset.state = open ? "open" : judge(spec, committed)[0] ? "right" : "wrong";
    before.hidden = !open;
    after.hidden = open;
    rows.forEach(({ row, input, mark }, index) => {
      input.disabled = !open;
      if (!open) input.checked = index === committed;
      const chosen = !open && index === committed;
      const right = !open && index === spec.right;
      row.classList.toggle("nfteach-is-right", right);
      row.classList.toggle("nfteach-is-wrong", chosen && !right);
      mark.textContent = right ? (chosen ? "✓ your choice" : "✓ the answer") : chosen ? "✗ your choice" : "";
    });
    if (field) {
      field.readOnly = !open;
      if (!open) field.value = committed;
    }
    complaint.textContent = "";
    verdict.replaceChildren(...(open ? [] : outcome(committed)));
    setFormulas(verdict);
  }

  function submit(event) {
    event.preventDefault();
    if (model.get("_committed") !== null) return;
    let value;
    if (field) {
      const { complaint: words } = read(field.value, spec.number.unit_plain);
      if (words) {
        complaint.textContent = words;
        field.setAttribute("aria-invalid", "true");
        field.focus();
        return;
      }
      field.removeAttribute("aria-invalid");
      value = field.value.trim();
    } else {
      value = rows.findIndex(({ input }) => input.checked);
      if (value < 0) {
        complaint.textContent = "Choose one first.";
        rows[0].input.focus();
        return;
      }
    }
    model.set("_committed", value);
    verdict.focus();
    tell(() => model.save_changes());
  }

  function reopen() {
    model.set("_committed", null);
    const chosen = field || (rows.find(({ input }) => input.checked) || rows[0]).input;
    chosen.focus();
    if (field) field.select();
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
    // A key held down commits once, and does not open the question again.
    if (event.key === "Enter" && event.repeat) event.preventDefault();
    else if (event.key === "Enter" && event.target.type === "radio") {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  const unmark = () => { complaint.textContent = ""; field?.removeAttribute("aria-invalid"); };
  const repaint = () => setFormulas(root);
  form.addEventListener("submit", submit);
  form.addEventListener("input", unmark);
  again.addEventListener("click", reopen);
  root.addEventListener("keydown", keydown);
  root.addEventListener("focusin", () => window.addEventListener("keydown", guard, true));
  root.addEventListener("focusout", () => window.removeEventListener("keydown", guard, true));
  model.on("change:_committed", show);
  model.on("change:_pictures", repaint);
  show();
  setFormulas(root);
  el.append(root);
  if (!typeset && root.querySelector(".nfteach-tex")) tell(() => model.send({ type: "pictures" }));
  const observer = new ResizeObserver(([entry]) => {
    if (!entry.contentRect.width) return;
    observer.disconnect();
    visible = true;
    setFormulas(root);
  });
  observer.observe(root);
  return () => {
    observer.disconnect();
    window.removeEventListener("keydown", guard, true);
    model.off("change:_committed", show);
    model.off("change:_pictures", repaint);
  };
}

export { judge, read };
export default { render };
