"""The words of a page or of a lesson, without its code and formulas, and what is wrong with their spelling and links.

Every check returns a list of complaints, one sentence each, and an empty one if nothing is wrong.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Mapping
from pathlib import Path

import codespell_lib

__all__ = [
    "ALLOWED",
    "AMERICAN",
    "anchors",
    "dead_links",
    "doubled_words",
    "in_code",
    "in_markdown",
    "in_source",
    "misspelt",
    "wrong_words",
]

HERE = Path(__file__).parent
#: Stands for what was taken out, so that the words to its left and right do not become neighbours.
GAP = " \u2026 "

_FENCED = re.compile(r"^(`{3,})(?P<head>[^\n]*)\n(?P<body>.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_NOT_PROSE = re.compile(
    r"\A---\n.*?^---$"  # the head of a source
    r"|<!--.*?-->"
    r"|``[^\n]+?``|`[^`\n]+`"
    r"|\$\$.*?\$\$|(?<!\\)\$[^$\n]+\$"
    r"|(?<=\])\([^)\s]+\)"  # where a link leads
    r"|https?://[^\s)>]+"
    r"|(?<![*\w])\*[A-Z][^*\n]{20,}\*(?!\*)"  # the title of a paper
    r"|</?\w[^>]*>",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"(?<!\\)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_DOUBLED = re.compile(r"\b([A-Za-z]+)(?:[ \t]+|[ \t]*\n[ \t]*)\1\b")
_AMERICAN_ENDING = re.compile(
    r"\b\w+(?:[^\W\d_]iz(?:e[srd]?|ers?|ing|ations?|able)|yz(?:e[srd]?|ing))\b", re.IGNORECASE
)
_TERM = re.compile(r"\bnormalizing(?=[\s-]+flows?\b)", re.IGNORECASE)  # the field's name for itself
_WORD = re.compile(r"[A-Za-z]+")


def _lines(text: str) -> str:
    """A gap with as many line breaks as the text that it stands for."""
    return GAP + "\n" * text.count("\n")


def in_markdown(text: str) -> str:
    """The prose of Markdown, line by line where it was."""
    text = _FENCED.sub(lambda match: _lines(match[0]), text)
    return _NOT_PROSE.sub(lambda match: _lines(match[0]), text)


def in_code(code: str) -> str:
    """The prose in Python, line by line where it was: its comments, and strings with a blank in them."""
    found: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            found.setdefault(token.start[0], []).append(token.string)
    tree = ast.parse(code)
    places = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "loc"}
    for node in ast.walk(tree):
        if (
            id(node) not in places
            and isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and " " in node.value.strip()
        ):
            for number, line in enumerate(in_markdown(node.value).splitlines(), start=node.lineno):
                found.setdefault(number, []).append(line)
    return "\n".join(GAP.join(found.get(number, [])) for number in range(1, code.count("\n") + 2))


def in_source(text: str) -> str:
    """The prose of a lesson's source, line by line where it was: the Markdown, and what its cells say in words."""

    def cell(match: re.Match[str]) -> str:
        if not match["head"].startswith("python"):
            return _lines(match[0])
        told = re.search(r'\balt="([^"]*)"', match["head"])
        return f"{told[1] if told else ''}\n{in_code(match['body'])}"

    return _NOT_PROSE.sub(lambda match: _lines(match[0]), _FENCED.sub(cell, text))


# ---- spelling ----------------------------------------------------------------------------------------------------


def _allowed() -> frozenset[str]:
    lines = (HERE / "words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if (word := line.partition("#")[0].strip()))


ALLOWED = _allowed()


def _american() -> dict[str, str]:
    """American word -> British word: codespell's list of British words, read backwards."""
    path = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = (line.split("->") for line in path.read_text(encoding="utf-8").splitlines() if "->" in line)
    backwards = {american.strip(" ,"): british for british, american in pairs}
    return {american: british for american, british in backwards.items() if american not in ALLOWED}


AMERICAN = _american()


def wrong_words(text: str) -> list[str]:
    """American spellings and doubled words in a text of one line or more."""
    text = _TERM.sub("field", text)
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = _WORD.findall(line)
        found += [f"{number}: {word}: British {AMERICAN[word.lower()]}" for word in words if word.lower() in AMERICAN]
        endings = _AMERICAN_ENDING.findall(line)
        found += [
            f"{number}: {word}: British with s in place of z"
            for word in endings
            if word.lower() not in AMERICAN and word.lower() not in ALLOWED
        ]
    return found + doubled_words(text)


def doubled_words(text: str) -> list[str]:
    """Words that stand there twice, the second perhaps on the next line."""
    places = [(text[: match.start()].count("\n") + 1, match[1]) for match in _DOUBLED.finditer(text)]
    return [f"{number}: {word} {word}: twice" for number, word in places if word not in ("that", "had", "billion")]


def misspelt(pages: Mapping[str, str], folder: Path) -> list[str]:
    """What codespell finds, and American spellings and doubled words: name of the page, line, word.

    Args:
        pages: the prose of each page, by its name.
        folder: where codespell can read it.
    """
    files = [folder / f"{number}.txt" for number in range(len(pages))]
    for file, text in zip(files, pages.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare", "--disable-colors"]
    command += [f"--ignore-words-list={','.join(sorted(ALLOWED))}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode not in (0, 65) or done.stderr.strip():
        raise RuntimeError(f"codespell could not run: {done.stderr or done.stdout}")
    found = done.stdout
    for number, name in enumerate(pages):
        found = found.replace(f"{files[number]}:", f"{name}:")
    own = [f"{name}:{complaint}" for name, text in pages.items() for complaint in wrong_words(text)]
    return [line for line in found.splitlines() if line.strip()] + own


# ---- links -------------------------------------------------------------------------------------------------------


def anchors(text: str, *, notebook: bool) -> set[str]:
    """The names by which the headings of a page can be linked: JupyterLab's in a lesson, else GitHub's."""
    titles = re.findall(r"^#{1,6} +(.+?) *$", _FENCED.sub("", text), flags=re.MULTILINE)
    if notebook:
        return {re.sub(r"[*`_]", "", title).replace(" ", "-") for title in titles}
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(text: str, place: Path, root: Path) -> list[str]:
    """Links inside the repository that lead nowhere.

    Args:
        text: of the page, Markdown.
        place: of the page, or, for a lesson's source, of the notebook that is built from it.
        root: of the repository.
    """
    found = []
    for target in _LINK.findall(re.sub(r"`[^`\n]*`|\$[^$\n]*\$", "", _FENCED.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (place.parent / file).resolve() if file else place
        written = goal.parent / "source" / f"{goal.stem}.md" if goal.suffix == ".ipynb" else goal
        if not goal.is_relative_to(root):
            found.append(f"{target}: outside the repository")
        elif file and not written.exists():
            found.append(f"{target}: there is no such file")
        elif anchor and written.suffix == ".md":
            page = written.read_text(encoding="utf-8") if file else text
            if anchor not in anchors(page, notebook=goal.suffix == ".ipynb"):
                found.append(f"{target}: there is no such heading")
    return found
