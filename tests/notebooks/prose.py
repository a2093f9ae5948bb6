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
    "clumsy",
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


# ---- voice -------------------------------------------------------------------------------------------------------

_PROGRAM = r"(?:checker|determinant|explorer|formula|function|gradient|inspector|kernel|layer|map|matrix|model|network"
_PROGRAM += r"|pixel|program|report|samples?|sum|symbol|table|test|J|s|t|u|w|z|x)"

#: What readers stumbled over, as regular expressions, and what to write in its place.
CLUMSY = {
    # Symbols and programs are not persons.
    r"\bknows? (?:nothing|no|nobody)\b": "does not depend on, does not use, has no",
    r"\b(?:never|ever) (?:hears?|heard) of\b": "does not depend on",
    rf"\b{_PROGRAM} (?:asks?|hears?|knows|listens|speaks|tells|thinks|wants)\b": "say what it does",
    r"\bis asked\b|\bcould not be asked\b|\b(?:asked|ask) (?:p|log_p|each layer|all layers)\b": "is evaluated",
    r"\b(?:you|they|we) are told\b|\bis told (?:what|which|that)\b|\btells you which\b": "name who does it",
    r"\bhas a right\b|\bown opinion\b|\bis comfortable\b|\bsays no\b|\bgets? hold of\b": "say what happens",
    r"\b(?:a|the) (?:gift|big sister|same news)\b|\bwaits? for nobody\b|\btalk to each other\b": "say what happens",
    # Word order.
    r"(?:^|[.:;] )(?:Below|Above|Beside|Behind|On top|Under)(?: [\w$()]+){0,4} stands?\b": "the subject first",
    r"\bstands? (?:at|above|below|beside|behind|for itself|on top|there|under)\b": "is",
    r"(?:^|[.!?] )N(?:or|either) (?:is|has|does|do|can|was|need)\b": "It does not ... either",
    r"[,:] for (?:it|they|there|then|you|we|nobody|nothing|if|the answers?|no)\b": "because",
    r"(?:^|[.!?] )Of (?:exact|all|each|its|these|those|this) \w+,? (?:the|a|each|it|they)\b": "the subject first",
    r"\b(?:is|are|was|were|does|do|did), too\b": "so ... as well",
    r"\bso (?:much|many) (?:for|eigenvalues)\b": "as many ... as",
    # Words that mean something else.
    r"\banother (?:factor|matter|number) (?:at|of|in)\b|\bby \*?another\b|\bis another one\b": "a different",
    r"(?<!here )\bis no (?!longer|more|less|better|worse|larger|smaller|one|difference)\w+": "is not a",
    r"\blets? (?:them|it|the \w+|all) (?:add|sum)\b": "makes them sum to",
    r"\bof (?:its|their) own\b(?! (?:class|coupling|layer|map|input|row|column|space|spline))": "its own ..., a separate, a different",
    r"\bby itself alone\b|\bat all events\b|\bas it were\b|\bso to speak\b|\bwithout end\b": "leave it out",
    r"\bas one should\b|\bby far and away\b|\ba word on words\b|\bto the letter\b|\bmuch less\b": "say it plainly",
    r"\bin a hundred\b": "%",
    r"\bhalvings\b|\bsome halvings\b": "bisection",
    r"\b[Mm]ind the (?:places?|signs?|order|square)\b|\b[Bb]egin with this one\b": "Watch, Start with",
    r"\bsamples? crowd\b|\b[Ss]pread sand\b|\bpasses through the same one\b": "bunch up, Sprinkle",
    r"\bnever were\b|\bnone that (?:we|you|one)\b|\bis none of the\b": "that do not exist",
    r"\bthe truth is not beaten\b|\bthat it does not\b|\bhands out\b|\bwith you\.": "say it plainly",
    r"\bnot to boast\b|\bto boast\b|\bin your hands\b|\bwhatever you hold\b": "say it plainly",
    r"\b(?:two|both) (?:kinds|ways) of it\b|\bhas not\.|\bhave not\.": "does not",
    r"\bno formula is not no\b|\bnot no\b": "no double negative",
    r"\bThat is all\.|\bNothing more\.|\bThe catch is what\b": "leave it out",
    r"\bdetour\b|\bnews\b(?!paper)|\bnervous\b|\bhonest(?:ly)? model\b": "say it plainly",
    r"\bthe former\b|\bthe latter\b": "name it",
}
_CLUMSY = {re.compile(pattern, re.MULTILINE): instead for pattern, instead in CLUMSY.items()}


def clumsy(text: str) -> list[str]:
    """Phrases over which readers stumbled, each with its line and what to write instead."""
    found = [
        (text[: match.start()].count("\n") + 1, match[0].strip(" .\n"), instead)
        for pattern, instead in _CLUMSY.items()
        for match in pattern.finditer(text)
    ]
    return [f"{number}: {phrase!r}: {instead}" for number, phrase, instead in sorted(found)]


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
