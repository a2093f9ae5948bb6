"""Short texts with `code`, $TeX$, *emphasis* and **strong** words: as pieces, in words, as Markdown, as pictures."""

from __future__ import annotations

import functools
import re
from typing import Any

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

__all__ = ["cut", "formula_picture", "formulas", "to_markdown", "to_plain"]

# A backslash takes the meaning from what follows it. Stars that touch a space on the inside are multiplication.
_MARKED = re.compile(
    r"""
    \\(?P<escaped>[\\`*$])
    | `(?P<code>[^`]+)`
    | \$\$(?P<display>(?:\\.|[^$\\])+)\$\$
    | \$(?P<tex>(?:\\.|[^$\\])+)\$
    | \*\*(?P<strong>\S|\S.*?\S)\*\*
    | \*(?P<em>[^*\s]|[^*\s][^*]*[^*\s])\*
    | (?P<break>\n\s*\n)
    """,
    re.VERBOSE | re.DOTALL,
)
# What "\top", "\frac", "\beta", "\rho", "\alpha" and "\varepsilon" begin with where the string is not a raw one.
_SLIPS = {"\t": "t", "\f": "f", "\b": "b", "\r": "r", "\a": "a", "\v": "v"}
# Names that TeX knows and matplotlib's reader of TeX does not. It takes a transposition for a relation, set wide.
_SAME = {"lVert": "Vert", "rVert": "Vert", "lvert": "vert", "rvert": "vert", "ge": "geq", "le": "leq", "tfrac": "frac"}
_SAME_NAMES = re.compile(rf"\\({'|'.join(_SAME)})(?![A-Za-z])")
_TRANSPOSED = re.compile(r"\^(\\top(?![A-Za-z])|\{\s*\\top\s*\})")
_SVG = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
_EM = 100  # the size at which text_to_path draws, so a picture's units are hundredths of an em

Pieces = list[list[Any]]


def cut(name: str, text: str) -> Pieces:
    r"""The pieces of a text: ``[kind, content]``, kind one of text, code, tex, display, strong, em, break.

    The content of strong and em is pieces again.

    Args:
        name: what the text is, for messages.
        text: ``code`` between backticks, TeX between dollars (``$$`` for a line of its own), ``*emphasis*``,
            ``**strong**``; an empty line begins a paragraph; a backslash before a mark makes it plain.

    Raises:
        ValueError: no text, a mark without its partner, or TeX that was not written as a raw string.

    Example:
        >>> cut("question", r"Is $w^\top u$ *above* -1?")
        [['text', 'Is '], ['tex', 'w^\\top u'], ['text', ' '], ['em', [['text', 'above']]], ['text', ' -1?']]
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be a text, but is {text!r}")
    for character, letter in _SLIPS.items():
        if character in text:
            raise ValueError(f'{name} holds \\{letter} as a control character; write a text with TeX as r"..."')
    return _cut(name, text.strip())


def _cut(name: str, text: str) -> Pieces:
    found: Pieces = []
    at = 0
    for match in _MARKED.finditer(text):
        _add_text(name, found, text[at : match.start()])
        kind, content = match.lastgroup, match[match.lastgroup]
        if kind == "escaped":
            found.append(["text", content])
        elif kind in ("strong", "em"):
            found.append([kind, _cut(name, content)])
        else:
            if kind == "tex" and "\n" in content:
                raise ValueError(f'{name} has a line break in ${content}$; write it on one line, as r"..."')
            found.append([kind, " ".join(content.split())])
        at = match.end()
    _add_text(name, found, text[at:])
    return _joined(found)


def _add_text(name: str, found: Pieces, text: str) -> None:
    for mark, word in (("$", "dollar"), ("`", "backtick")):
        if mark in text:
            raise ValueError(f"{name} has a {word} without its partner; write \\{mark} for a plain one")
    if text:
        found.append(["text", re.sub(r"\s+", " ", text)])


def _joined(found: Pieces) -> Pieces:
    """Neighbouring texts as one."""
    joined: Pieces = []
    for kind, content in found:
        if kind == "text" and joined and joined[-1][0] == "text":
            joined[-1][1] += content
        else:
            joined.append([kind, content])
    return joined


def to_plain(pieces: Pieces) -> str:
    """The pieces in words, for a terminal: marks gone, TeX as it was typed."""
    write = {"tex": "${}$", "display": " $${}$$ ", "break": "\n"}
    return "".join(
        to_plain(content) if isinstance(content, list) else write.get(kind, "{}").format(content)
        for kind, content in pieces
    )


def to_markdown(pieces: Pieces, paragraph: str = " ") -> str:
    """The pieces as Markdown, in which HTML has no power; ``paragraph`` is what stands between paragraphs."""
    write = {"code": "`{}`", "tex": "${}$", "display": " $${}$$ ", "strong": "**{}**", "em": "*{}*"}
    parts = []
    for kind, content in pieces:
        if kind == "break":
            parts.append(paragraph)
        elif kind == "text":
            plain = re.sub(r"([\\`*$])", r"\\\1", content).replace("&", "&amp;").replace("<", "&lt;")
            # MathJax comes after Markdown and sees the dollar without its backslash. It does not look across a tag.
            parts.append(plain.replace(r"\$", r"<span>\$</span>"))
        else:
            parts.append(write[kind].format(to_markdown(content) if isinstance(content, list) else content))
    return "".join(parts)


def formulas(node: Any) -> list[str]:
    """All TeX in a structure of dicts and lists that holds pieces, each once."""
    if isinstance(node, dict):
        node = list(node.values())
    if not isinstance(node, list):
        return []
    if len(node) == 2 and node[0] in ("tex", "display"):
        return [node[1]]
    return list(dict.fromkeys(tex for item in node for tex in formulas(item)))


@functools.lru_cache(maxsize=1024)
def formula_picture(tex: str) -> dict[str, Any] | None:
    """A formula drawn by matplotlib, for pages that have no MathJax; None for TeX that matplotlib does not know.

    Returns:
        ``path``: for an SVG path's ``d``, y downwards from the baseline, in hundredths of an em; ``width``, ``height``
        (above the baseline) and ``depth`` (below it), in the same unit.
    """
    source = _SAME_NAMES.sub(lambda match: rf"\{_SAME[match[1]]} ", tex)
    source = _TRANSPOSED.sub(r"^{\\!\\!\\top\\!\\!}", source)
    font = FontProperties(size=_EM, math_fontfamily="cm")
    try:
        width, total, depth = text_to_path.get_text_width_height_descent(f"${source}$", font, ismath=True)
        vertices, codes = text_to_path.get_text_path(font, f"${source}$", ismath=True)
    except ValueError:  # what mathtext raises for a name that it does not know
        return None
    written = []
    for points, code in Path(vertices, codes).iter_segments(simplify=False, curves=True):
        numbers = [] if code == Path.CLOSEPOLY else [f"{(-v if i % 2 else v):.1f}" for i, v in enumerate(points)]
        written.append(_SVG[code] + " ".join(numbers))
    height = total - depth
    return {"path": "".join(written), "width": float(width), "height": float(height), "depth": float(depth)}
