"""A page of the book: Markdown, code, outputs and widgets as HTML, with its sections and formulas."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from html import escape, unescape
from pathlib import Path, PurePosixPath
from struct import unpack
from typing import Any

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from book.executed import ROOT, Executed
from nfteach.exercises.exercise import Exercise
from nfteach.jacobian.views.tex import plain_tex

__all__ = ["Page", "Section", "Site"]

REPOSITORY = os.environ.get("SITE_REPOSITORY", "")  # such as "owner/name", for links to GitHub and Binder
LAB = "JupyterLab (<code>make lab</code>)"
CHECK = re.compile(r"\b\w+\.(\w+)\.check\(")
TOKEN = re.compile("\ue000(\\d+)\ue001([.,;:!?)]*)")
CELL = re.compile("<!--cell-->.*?<!--/cell-->", re.DOTALL)
HEADING = re.compile(r'<h([23]) id="([^"]*)">(.*?)<a class="anchor".*?</h\1>', re.DOTALL)
FORMULA = re.compile(r"`[^`]*`|\$\$((?:\\.|[^$\\])+)\$\$|\$((?:\\.|[^$\\])+)\$", re.DOTALL)  # as in prediction.js
NARROW = 38.0  # ex, the width of a telephone
# Links to lessons in outputs, such as the table of progress.
NOTEBOOK = re.compile(r"""href=['"]([\w./]+\.ipynb)['"]""")
INLINE = re.compile(r"(?<=>)\$((?:\\.|[^$\\<])+)\$(?=<)")  # in HTML, where it is all that stands in its element
CODE = HtmlFormatter(cssclass="code")


class Site:
    """The names of all pages, and the files that the pages show."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self.folder = folder
        self.names = names  # path in the repository -> file name of the page

    def store(self, data: bytes, name: str) -> str:
        """Write a file for the pages; return its address."""
        path = self.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"files/{name}"

    def resolve(self, address: str, source: str) -> str | None:
        """Return the book's address for an address in the file `source` of the repository; None if there is none."""
        if re.match(r"[a-z]+:", address) or address.startswith("#"):
            return address
        path, _, anchor = address.partition("#")
        path = os.path.normpath(PurePosixPath(source).parent / path)
        if path in self.names:
            return self.names[path] + (f"#{anchor}" if anchor else "")
        if (ROOT / path).suffix in (".png", ".gif", ".json") and (ROOT / path).is_file():
            return self.store((ROOT / path).read_bytes(), Path(path).name)
        return f"https://github.com/{REPOSITORY}/blob/HEAD/{path}" if REPOSITORY and (ROOT / path).exists() else None


@dataclass
class Section:
    """A heading, its level, its anchor, and the text below it, for the contents and the search."""

    level: int
    anchor: str
    title: str
    text: str


@dataclass
class Page:
    """One page; `source` is its path in the repository."""

    site: Site
    source: str
    title: str = ""
    parts: list[str] = field(default_factory=list)
    formulas: list[tuple[str, bool]] = field(default_factory=list)
    models: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # formulas that widgets show
    files: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)  # widgets and figures, as HTML

    @property
    def name(self) -> str:
        """The file name of the page."""
        return self.site.names[self.source]

    # ---- what a page is made of ----------------------------------------------------------------------------------

    def markdown(self, text: str) -> str:
        """Return Markdown as HTML; formulas stand in it as tokens."""
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        html = MarkdownWithMath(_Renderer(self)).render(text)
        html = html.replace("<table>", '<div class="table scroll"><table>').replace("</table>", "</table></div>")
        return re.sub(r"<p>\s*(\ue000\d+\ue001)\s*</p>", r"\1", html)

    def formula(self, tex: str, display: bool) -> str:
        """Return the token of a formula."""
        self.formulas.append((tex, display))
        return f"\ue000{len(self.formulas) - 1}\ue001"

    def document(self, text: str) -> None:
        """Add a document of the repository."""
        self.parts.append(self.markdown(text))

    def lesson(self, executed: Executed, exercises: dict[str, Exercise]) -> None:
        """Add the cells of a lesson; `exercises` are those that it judges, by the name under which they are called."""
        self.models = executed.models
        for cell in executed.notebook.cells:
            if cell.cell_type == "markdown":
                self.parts.append(self.markdown(cell.source))
            elif cell.cell_type == "code":
                self.parts.append(f"<!--cell-->{self._cell(cell, exercises)}<!--/cell-->")
        for model in executed.models.values():
            self._ask(model["state"].get("_spec"))

    def _cell(self, cell: NotebookNode, exercises: dict[str, Exercise]) -> str:
        judged = [exercises[name] for name in CHECK.findall(cell.source) if name in exercises]
        outputs = [] if judged else [self._output(output) for output in cell.outputs]
        code = code_html(cell.source, "ipython3")
        shown = [output for output in outputs if output.startswith(('<div class="widget', '<div class="figure'))]
        self.shown += shown
        if cell.source.startswith("predict("):
            return f'<div class="cell asks">{"".join(outputs)}</div>'
        if outputs and "reveals" in cell.metadata.get("tags", ()):
            answer = "".join(outputs)
            outputs = [
                f'<details class="reveals"><summary>Answer the prediction above first</summary>{answer}</details>'
            ]
        if shown:  # the text is about the picture, and its code is read by those who want to
            code = f'<details class="source"><summary>Code</summary>{code}</details>'
            return f'<div class="cell">{"".join(outputs)}{code}</div>'
        return f'<div class="cell">{code}{"".join(outputs)}{"".join(map(self._help, judged))}</div>'

    def _output(self, output: NotebookNode) -> str:
        if output.output_type == "stream":
            return f'<pre class="output">{escape(output.text)}</pre>'
        data = output.data
        if "image/png" in data:
            shown = self._image(
                base64.b64decode(data["image/png"]), output.metadata.get("image/png", {}).get("alt", "")
            )
        elif "text/html" in data:
            html = INLINE.sub(lambda match: self.formula(unescape(match[1]), False), data["text/html"])
            html = NOTEBOOK.sub(lambda match: f"href='{self.site.resolve(match[1], self.source) or '#'}'", html)
            shown = f'<div class="html scroll">{html}</div>'
        elif "text/markdown" in data:
            shown = self.markdown(data["text/markdown"])
        else:
            shown = f'<pre class="output">{escape(data["text/plain"])}</pre>'
        if model := output.metadata.get("model"):  # its stored picture or text is shown until the widget is
            return f'<div class="widget" data-model="{model}">{shown}</div>'
        return f'<div class="figure">{shown}</div>' if "image/png" in data else shown

    def _image(self, data: bytes, alt: str) -> str:
        width, height = unpack(">II", data[16:24])
        address = self.site.store(data, f"{blake2b(data, digest_size=8).hexdigest()}.png")
        self.files.add(address)
        return f'<img src="{address}" alt="{escape(alt)}" width="{width}" height="{height}" loading="lazy">'

    def _help(self, exercise: Exercise) -> str:
        notes = [(f"Hint {k}", hint) for k, hint in enumerate(exercise.hints, start=1)]
        notes.append(("Solution", exercise.solution().body))
        folded = "".join(f"<details><summary>{title}</summary>{self.markdown(text)}</details>" for title, text in notes)
        return (
            f'<aside class="exercise"><p><strong>Exercise {exercise.number}</strong> is judged where code runs: in '
            f"{LAB}{self._binder(' or on ')}. A wrong answer is told which mistake it holds.</p>{folded}</aside>"
        )

    def where(self) -> str:
        """Return the sentence about running the code of the lesson, as HTML."""
        return f"To run and change the code, open this lesson in {LAB}{self._binder(', or on ')}."

    def _binder(self, before: str) -> str:
        address = f"https://mybinder.org/v2/gh/{REPOSITORY}/HEAD?urlpath=lab/tree/{self.source}"
        return f'{before}<a href="{address}">Binder</a>' if REPOSITORY else ""

    def _ask(self, value: Any) -> None:
        """Note the formulas in the texts of a prediction."""
        if isinstance(value, str):
            self.asked += [display or tex for display, tex in FORMULA.findall(value) if display or tex]
        elif isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                self._ask(one)

    def cover(self, readme: str, first: Page) -> None:
        """Make the first page: what the course is, the first picture of lesson `first`, and all lessons."""
        paragraph = re.search(r"^# .*?\n\n(.*?)\n\n", readme, re.DOTALL)[1]
        lessons = re.findall(r"^\| (\d\d) \| \[(.*?)\]\((.*?)\) \| (.*?) \|$", readme, re.MULTILINE)
        self.title = "Normalizing flows"
        self.parts = [f'<h1>{self.title}</h1><div class="lede">{self.markdown(paragraph)}</div>', first.shown[0]]
        self.parts.append('<h2 id="lessons">The lessons</h2><ol class="lessons">')
        for number, title, path, about in lessons:
            self.parts.append(
                f'<li><a href="{self.site.names[path]}"><span class="number">{number}</span> <strong>{escape(title)}'
                f"</strong> <span>{escape(about)}</span></a></li>"
            )
        self.parts.append("</ol>")
        self.files = {file for file in first.files if file in first.shown[0]}
        if model := re.search('data-model="(.*?)"', first.shown[0]):
            self.models = _reached(model[1], first.models)

    # ---- what others need of it ----------------------------------------------------------------------------------

    def sections(self) -> list[Section]:
        """Return the sections, in their order; the first one, of level 1, is the page itself."""
        pieces = HEADING.split(CELL.sub(" ", "".join(self.parts)))
        found = [Section(1, "", self.title, self.plain(pieces[0]))]
        for level, anchor, title, text in zip(*(pieces[k::4] for k in (1, 2, 3, 4)), strict=True):
            found.append(Section(int(level), unescape(anchor), self.plain(title), self.plain(text)))
        return found

    def body(self, typeset: list[str]) -> str:
        """Return the page's HTML, given that of its formulas."""

        def put(match: re.Match[str]) -> str:
            (_, display), html = self.formulas[int(match[1])], typeset[int(match[1])]
            if display:
                return f'<span class="equation">{html}</span>{match[2]}'
            width = float(re.search(r'<svg[^>]* width="([\d.]+)ex"', html)[1])
            kind = "long" if width > NARROW else "nowrap" if match[2] else ""  # punctuation begins no line
            return f'<span class="{kind}">{html}{match[2]}</span>' if kind else html

        return TOKEN.sub(put, "".join(self.parts))

    def plain(self, html: str) -> str:
        """Return the text of HTML, with formulas as text."""
        text = unescape(re.sub(r"<[^>]*>", " ", re.sub(r"</?(?:em|strong|code|a|span)\b[^>]*>", "", html)))
        return " ".join(TOKEN.sub(lambda match: plain_tex(self.formulas[int(match[1])][0]) + match[2], text).split())


class _Renderer(IPythonRenderer):
    """Markdown as notebooks have it, with formulas, links, pictures and anchors of the book."""

    def __init__(self, page: Page) -> None:
        super().__init__(escape=False)
        self.page = page

    def inline_math(self, body: str) -> str:
        return self.page.formula(body, False)

    def block_math(self, body: str) -> str:
        return self.page.formula(body, True)

    def latex_environment(self, name: str, body: str) -> str:
        return self.page.formula(rf"\begin{{{name}}}{body}\end{{{name}}}", True)

    def block_code(self, code: str, info: str | None = None) -> str:
        return code_html(code, info or "text")

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        plain = self.page.plain(text)
        if level == 1:
            self.page.title = plain
            note = f'<p class="note">{self.page.where()}</p>' if self.page.source.endswith(".ipynb") else ""
            return f"<h1>{text}</h1>{note}"
        # Links in lessons are written for JupyterLab's anchors, links in documents for GitHub's.
        lesson = self.page.source.endswith(".ipynb")
        anchor = plain.replace(" ", "-") if lesson else re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        anchor = escape(anchor)
        link = f'<a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a>'
        return f'<h{level} id="{anchor}">{text}{link}</h{level}>'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        address = self.page.site.resolve(url, self.page.source)
        return f'<a href="{escape(address)}">{text}</a>' if address else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        address = self.page.site.resolve(url, self.page.source)
        if address is None:
            raise ValueError(f"{self.page.source}: there is no picture {url}")
        self.page.files.add(address)
        return f'<img src="{address}" alt="{escape(self.page.plain(text))}" loading="lazy">'


def _reached(model: str, models: dict[str, Any]) -> dict[str, Any]:
    """Return the model and all that it refers to."""
    found: dict[str, Any] = {}
    wanted = {model}
    while wanted:
        name = wanted.pop()
        found[name] = {**models[name], "state": dict(models[name]["state"])}
        named = set(re.findall(r"'(?:IPY_MODEL_)?([0-9a-f]{32})'", str(models[name]["state"])))
        wanted |= named & set(models) - set(found)
    return found


def code_html(code: str, language: str) -> str:
    """Return code with its colours."""
    try:
        lexer = get_lexer_by_name(language.split()[0])
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    return highlight(code, lexer, CODE)
