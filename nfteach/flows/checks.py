"""Checks of arguments that several constructors share."""

from __future__ import annotations

__all__ = ["check_sizes"]


def check_sizes(**sizes: int) -> None:
    """Raise ``ValueError``, naming it, if one of ``sizes`` is not a whole number, at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, but is {size!r}")
