"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["attach"]


def attach(
    package: str, homes: Mapping[str, str], submodules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are loaded when first used.

    Args:
        package: its ``__name__``.
        homes: name -> the submodule that defines it.
        submodules: names that are submodules themselves.
    """
    names = sorted([*homes, *submodules])

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it offers {', '.join(names)}")
        module = import_module(f"{package}.{homes.get(name, name)}")
        return getattr(module, name) if name in homes else module

    return load, lambda: names, names
