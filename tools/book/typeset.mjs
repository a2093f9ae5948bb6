// Sets TeX as SVG. Reads {page: [[tex, display], ...]} from stdin; writes {css, pages: {page: {set, glyphs}}} to stdout,
// where `set` has the HTML of each formula and `glyphs` the letters that the formulas of that page share.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const { mathjax } = require("mathjax-full/js/mathjax.js");
const { TeX } = require("mathjax-full/js/input/tex.js");
const { SVG } = require("mathjax-full/js/output/svg.js");
const { liteAdaptor } = require("mathjax-full/js/adaptors/liteAdaptor.js");
const { RegisterHTMLHandler } = require("mathjax-full/js/handlers/html.js");
const { AssistiveMmlHandler } = require("mathjax-full/js/a11y/assistive-mml.js");
require("mathjax-full/js/input/tex/AllPackages.js");

const adaptor = liteAdaptor();
AssistiveMmlHandler(RegisterHTMLHandler(adaptor));

const failed = [];
function fail(_, error) {
  failed.push(error.message);
  throw error;
}

let css = "";
const pages = {};
for (const [page, formulas] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const svg = new SVG({ fontCache: "global" });
  const document = mathjax.document("", {
    InputJax: new TeX({ packages: ["base", "ams", "newcommand", "boldsymbol", "textmacros"], formatError: fail }),
    OutputJax: svg,
  });
  const set = formulas.map(([tex, display]) => {
    try {
      return adaptor.outerHTML(document.convert(tex, { display, em: 16, ex: 8, containerWidth: 16 * 44 }));
    } catch (error) {
      console.error(`${page}: ${tex}: ${error.message}`);
      return "";
    }
  });
  const glyphs = adaptor.outerHTML(svg.fontCache.getCache());
  pages[page] = { set, glyphs: `<svg id="MJX-SVG-global-cache" style="display: none" aria-hidden="true">${glyphs}</svg>` };
  css = adaptor.textContent(svg.styleSheet(document));
}
if (failed.length) process.exit(1);
process.stdout.write(JSON.stringify({ css, pages }));
