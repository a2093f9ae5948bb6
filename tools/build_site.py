"""Build the book: the lessons and the documents as static pages, which need no server, no kernel and no network."""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

os.environ["NFTEACH_PROGRESS"] = tempfile.mkdtemp()  # solutions are looked up here, which no learner did

import jinja2
import nbformat
from book.executed import ROOT, Executed, executed
from book.page import Page, Site
from book.vendor import copy_scripts
from jupyterlab_pygments import JupyterStyle
from lessons.source import NOTEBOOKS, Lesson, LessonError, discover, read_lesson
from pygments.formatters import HtmlFormatter

from nfteach.exercises import Exercise

BOOK = Path(__file__).parent / "book"
DOCUMENTS = ["glossary", "equations", "inspector", "results", "widgets", "teaching"]
LONG = 400  # characters, from which a text is stored once
REFERENCE = "\ue000"  # before the number of such a text
LIMITS = {"first": 3000.0, "further": 1500.0}  # kB, compressed


def build(folder: Path, fresh: list[str]) -> list[str]:
    """Write the book to `folder`; return a line for each page over its limit.

    Args:
        folder: is replaced.
        fresh: the lessons that are executed for the book. Others are shown as they are stored in notebooks/, with
            pictures in place of widgets.
    """
    lessons = [read_lesson(path) for path in discover(NOTEBOOKS)]
    notebooks = [executed(lesson) if lesson.name in fresh else stored(lesson) for lesson in lessons]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sources = {f"notebooks/{lesson.name}.ipynb": f"{lesson.name}.html" for lesson in lessons}
    documents = {f"docs/{name}.md": f"{name}.html" for name in DOCUMENTS}
    site = Site(folder, {**sources, **documents, "README.md": "index.html"})

    pages = []
    for lesson, source, notebook in zip(lessons, sources, notebooks, strict=True):
        page = Page(site, source)
        page.lesson(notebook, exercises_of(lesson.name))
        pages.append(page)
    for source in documents:
        page = Page(site, source)
        page.document((ROOT / source).read_text(encoding="utf-8"))
        pages.append(page)
    cover = Page(site, "README.md")
    cover.cover((ROOT / "README.md").read_text(encoding="utf-8"), pages[0])

    write([cover, *pages], folder)
    return sizes(pages, folder)


def stored(lesson: Lesson) -> Executed:
    """Return the learner's notebook of `lesson` as it lies in notebooks/, without widgets."""
    return Executed(nbformat.read(lesson.target(NOTEBOOKS, "learner"), as_version=4), {})


def exercises_of(lesson: str) -> dict[str, Exercise]:
    """Return the exercises of a lesson by the name under which its cells call them."""
    module = import_module(f"nfteach.exercises.lesson_{lesson[:2]}")
    return {name: value for name, value in vars(module).items() if isinstance(value, Exercise)}


def write(pages: list[Page], folder: Path) -> None:
    """Write all pages, and the files that they share."""
    assets = folder / "assets"
    assets.mkdir()
    formulas = {page.name: page.formulas + [(tex, False) for tex in page.asked] for page in pages}
    css, typeset = set_formulas(formulas)
    shared = share(pages)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(BOOK / "page"), trim_blocks=True, autoescape=True)
    template = environment.get_template("page.html")
    index = []
    for number, page in enumerate(pages):
        html = typeset[page.name]["set"]
        sections = page.sections()
        text = template.render(
            page=page,
            pages=pages,
            sections=sections,
            body=page.body(html),
            glyphs=typeset[page.name]["glyphs"],
            models=in_script(told_once(page.models)) if page.models else "",
            formulas=in_script(dict(zip(page.asked, html[len(page.formulas) :], strict=True))),
            before=pages[number - 1] if number else None,
            after=pages[number + 1] if number + 1 < len(pages) else None,
        )
        (folder / page.name).write_text(text, encoding="utf-8")
        index += [[number, one.anchor, one.title, one.text] for one in sections]
    names = [[page.name, page.title] for page in pages]
    (assets / "search.js").write_text(f"window.book = {json.dumps({'pages': names, 'sections': index})};", "utf-8")
    (assets / "shared.js").write_text(f"window.shared = {json.dumps(shared)};", "utf-8")
    colours = HtmlFormatter(style=JupyterStyle, cssclass="code").get_style_defs()
    (assets / "book.css").write_text((BOOK / "page" / "book.css").read_text("utf-8") + css + colours, "utf-8")
    shutil.copy(BOOK / "page" / "book.js", assets)
    copy_scripts(assets)


def set_formulas(formulas: dict[str, list[tuple[str, bool]]]) -> tuple[str, dict]:
    """Return the style sheet of formulas and, by page, their HTML and the letters that they share."""
    done = subprocess.run(
        ["node", str(BOOK / "typeset.mjs")], input=json.dumps(formulas), capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise LessonError(f"MathJax can't set all formulas:\n{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["css"], answer["pages"]


def share(pages: list[Page]) -> dict[str, str]:
    """Take the programs and style sheets out of the models of `pages`; return them by the name that stands there."""
    names: dict[str, str] = {}
    for page in pages:
        for model in page.models.values():
            for key in ("_esm", "_css"):
                if text := model["state"].get(key):
                    model["state"][key] = names.setdefault(text, f"{key}{len(names)}")
    return {name: text for text, name in names.items()}


def told_once(models: dict) -> dict:
    """Return models with the long texts that occur in them again: programs and arrays of explorers of the same kind."""
    counts = Counter(text for text in texts(models) if len(text) > LONG)
    numbers = {text: f"{REFERENCE}{number}" for number, text in enumerate(t for t in counts if counts[t] > 1)}

    def referred(value: object) -> object:
        if isinstance(value, str):
            return numbers.get(value, value)
        if isinstance(value, dict):
            return {key: referred(one) for key, one in value.items()}
        return [referred(one) for one in value] if isinstance(value, list) else value

    return {"texts": list(numbers), "models": referred(models)}


def texts(value: object) -> Iterator[str]:
    """Yield all texts in a tree of dictionaries and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


def in_script(value: object) -> str:
    """Return JSON that can stand in a <script>."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def sizes(lessons: list[Page], folder: Path) -> list[str]:
    """Print what each page weighs, compressed; return a line for each lesson over its limit.

    What all pages share counts for the first one.
    """

    def kilobytes(names: set[str]) -> float:
        return sum(len(gzip.compress((folder / name).read_bytes())) for name in names) / 1000

    shared = kilobytes({f"assets/{path.name}" for path in (folder / "assets").iterdir() if path.suffix != ".txt"})
    print(f"{'page':28} {'text and widgets':>17} {'pictures':>9}   kB, compressed")
    print(f"{'shared by all':28} {shared:17.0f}")
    over = []
    for number, page in enumerate(lessons):
        text, pictures = kilobytes({page.name}), kilobytes(page.files)
        print(f"{page.name:28} {text:17.0f} {pictures:9.0f}")
        total, limit = text + pictures, LIMITS["further"]
        if number == 0:
            total, limit = total + shared, LIMITS["first"]
        if total > limit:
            over.append(f"{page.name}: {total:.0f} kB, the limit is {limit:.0f}")
    return over


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="*", help="lessons to execute (default: all); others have pictures only")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "site", help="where the pages go")
    options = parser.parse_args(arguments)
    try:
        fresh = [path.stem for name in options.lesson or [None] for path in discover(NOTEBOOKS, name)]
        over = build(options.folder, fresh)
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
    for line in over:
        print(f"over the limit: {line}", file=sys.stderr)
    print(f"open {options.folder / 'index.html'}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
