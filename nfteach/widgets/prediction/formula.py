"""A formula drawn by matplotlib, for pages that have no MathJax."""

from __future__ import annotations

import functools
import re
from typing import Any

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

__all__ = ["formula_picture"]

# Names that TeX knows and matplotlib's reader of TeX does not. It takes a transposition for a relation, set wide.
_SAME = {"lVert": "Vert", "rVert": "Vert", "lvert": "vert", "rvert": "vert", "ge": "geq", "le": "leq", "tfrac": "frac"}
_SAME_NAMES = re.compile(rf"\\({'|'.join(_SAME)})(?![A-Za-z])")
_TRANSPOSED = re.compile(r"\^(\\top(?![A-Za-z])|\{\s*\\top\s*\})")
_SVG = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
_EM = 100  # the size at which text_to_path draws, so a picture's units are hundredths of an em


@functools.lru_cache(maxsize=1024)
def formula_picture(tex: str) -> dict[str, Any] | None:
    """Return a formula drawn by matplotlib, or None for TeX that matplotlib does not know.

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
