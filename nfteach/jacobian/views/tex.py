"""TeX formulas as text, for readers without a typesetter."""

import re

__all__ = ["plain_tex"]

_SYMBOLS = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ", "lambda": "λ", "mu": "μ"},
    **{"nu": "ν", "pi": "π", "rho": "ρ", "sigma": "σ", "phi": "φ", "varphi": "φ", "psi": "ψ", "omega": "ω"},
    **{"Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "sum": "Σ", "prod": "Π", "top": "ᵀ", "cdot": "·"},
    **{"partial": "∂", "odot": "⊙", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "in": "∈"},
    **{"notin": "∉", "infty": "∞", "times": "×", "to": "→", "mid": "|", "ldots": "...", "dots": "...", "cdots": "..."},
    **{"|": "‖", "Vert": "‖", "lVert": "‖", "rVert": "‖", "vert": "|", "lvert": "|", "rvert": "|"},
    **{"quad": "  ", "qquad": "  ", "left": "", "right": "", "bigl": "", "bigr": "", "big": ""},
}
_FONTS = r"\\(?:text|mathrm|mathbf|operatorname|boldsymbol|mathcal)\s*\{([^{}]*)\}"
_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
_SUPERSCRIPTS = {"2": "²", "3": "³", "-1": "⁻¹", "ᵀ": "ᵀ"}


def plain_tex(tex: str) -> str:
    r"""Convert a TeX formula to readable text; unknown commands keep their names.

    Example:
        >>> plain_tex(r"\log|\det J| = \log|1 + u^\top \psi(z)|")
        'log|det J| = log|1 + uᵀ ψ(z)|'
        >>> plain_tex(r"-\tfrac12 \sum_{i=1}^{D} \log(\sigma_i^2 + \epsilon)")
        '-1/2 Σ_(i=1)^D log(σ_i² + ε)'
    """
    text = re.sub(_FONTS, r"\1", tex)
    for name, accent in _ACCENTS.items():
        text = re.sub(rf"\\{name}\s*\{{?(\\?[A-Za-z]+)\}}?", lambda match, accent=accent: match[1] + accent, text)
    text = re.sub(r"\\[,;:! ]\s*", " ", text)
    text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r"\1/\2", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\(?!frac)([A-Za-z]+|\|)", lambda match: _SYMBOLS.get(match[1], match[1]), text)
    text = re.sub(r"\s*\^\s*(?:\{(ᵀ|-?\d)\}|(ᵀ|\d))", lambda match: _raised(match[1] or match[2]), text)
    for _ in range(4):  # from the inside out
        text = re.sub(r"\\frac\s*\{(\w+)\}\s*\{(\w+)\}", r"\1/\2", text)
        text = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"(\1)/(\2)", text)
        text = re.sub(r"([_^])\{(\w)\}", r"\1\2", text)
        text = re.sub(r"([_^])\{([^{}]*)\}", r"\1(\2)", text)
        text = re.sub(r"(?<!frac)(?<!\})\{([^{}]*)\}(?!\s*\{)", r"\1", text)
    return re.sub(r" {3,}", "  ", text.replace("\\", "")).strip()


def _raised(what: str) -> str:
    return _SUPERSCRIPTS.get(what, f"^{what}")
