"""The Python blocks of a page: run, and compared with the output shown below them. As a program it writes that output.

A block is a fence of ``python``; a fence of ``text`` right below it holds what it prints. Blocks below one heading go
on where the one before left off. Every heading below a block that follows the comment ``<!-- opening -->`` begins with
the lines of that block. What is shown may be wrapped, and the last digit of a number may differ by two.
"""

from __future__ import annotations

import inspect
import io
import re
import sys
import textwrap
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from nfteach.testing import assert_sound

__all__ = ["ROOT", "Block", "agree", "blocks", "cells", "in_backticks", "links", "output", "renew", "sections"]

ROOT = Path(__file__).parents[2]
WIDTH = 100
FIXTURES = {"assert_sound": assert_sound}

_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n*```text\n(?P<shown>.*?)^```\n)?", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ +(?P<title>.+)$")
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\d)")


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        heading: the nearest above it.
        code: to run.
        shown: what it prints, as the page has it; None if the page shows nothing.
        line: of the page on which it begins.
        opens: whether the headings below begin with its lines.
    """

    heading: str
    code: str
    shown: str | None
    line: int
    opens: bool


def sections(page: str) -> dict[str, str]:
    """What stands below each heading of a page, down to the next heading of whatever depth."""
    found, title, fenced = {"": ""}, "", False
    for line in page.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        heading = None if fenced else _HEADING.match(line.rstrip())
        if heading:
            title = heading["title"]
            if title in found:
                raise ValueError(f"page: two headings are called {title!r}, so their blocks cannot be told apart")
            found[title] = ""
        else:
            found[title] += line
    return found


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(page):
        above = page[: match.start()]
        heading = list(sections(above))[-1]
        opens = above.rstrip().endswith("<!-- opening -->")
        found.append(Block(heading, match["code"], match["shown"], above.count("\n") + 1, opens))
    return found


def cells(section: str) -> list[list[str]]:
    """The rows of the table in a section, without its head, in cells."""
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def in_backticks(cell: str) -> list[str]:
    """The pieces of code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def links(page: str) -> list[str]:
    """The relative links of a page, without what stands outside the repository."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", page) if "://" not in target]


def output(page: str, block: Block) -> str:
    """What a block prints when it is run after the opening lines and the blocks above it under its heading.

    Functions that it defines and whose names begin with ``test_`` are called, as pytest would. Where the page shows an
    output an exception is part of it, as the last line of its traceback.
    """
    scope: dict = {"__name__": "page"}
    for part in blocks(page):
        opens = part.opens and part.line < block.line
        if not opens and part.heading != block.heading:
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            before = set(scope)
            try:
                exec(compile(part.code, f"<the block on line {part.line}>", "exec"), scope)
                for name in sorted(set(scope) - before):
                    if name.startswith("test_"):
                        scope[name](*(FIXTURES[argument] for argument in inspect.signature(scope[name]).parameters))
            except Exception as error:
                if part.shown is None or isinstance(error, ImportError):
                    raise
                print(f"{type(error).__name__}: {error}")
        if part == block:
            return printed.getvalue()
    raise ValueError(f"block: the page has none on line {block.line}")


def agree(printed: str, shown: str) -> bool:
    """Whether the two are the same but for blanks and line breaks, and for the last digit of numbers."""
    one, other = " ".join(printed.split()), " ".join(shown.split())
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 2.01 * max(_last_digit(a), _last_digit(b)) for a, b in pairs)


def _last_digit(number: str) -> float:
    """What one step of its last digit is worth; 0 of an integer, which has to be exact."""
    digits, _, power = number.partition("e")
    places = len(digits.partition(".")[2])
    return 10.0 ** (int(power or 0) - places) if places or power else 0.0


def renew(page: str) -> str:
    """The page with what its blocks print now, wrapped, wherever it shows what they print.

    What imports a library that is not installed here is left as it is.
    """
    done, at = [], 0
    for match, block in zip(_BLOCK.finditer(page), blocks(page), strict=True):
        if block.shown is None:
            continue
        try:
            printed = output(page, block)
        except ImportError:
            continue
        if not agree(printed, block.shown):
            done += [page[at : match.start("shown")], _wrapped(printed)]
            at = match.end("shown")
    return "".join([*done, page[at:]])


def _wrapped(printed: str) -> str:
    lines = []
    for line in printed.splitlines():
        long = len(line) > WIDTH
        options = {"subsequent_indent": "    ", "break_long_words": False, "break_on_hyphens": False}
        lines += textwrap.wrap(line, WIDTH, **options) if long else [line.rstrip()]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
