"""Names of a package that are loaded when they are first used, and packages that are not always installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["attach", "require"]


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


def require(user: str, *modules: str) -> None:
    """Raise an ImportError that names the extra ``course``, unless the modules are installed.

    Args:
        user: the name of what needs them.
        modules: top-level names, such as ``"matplotlib"``. They are not imported.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        what = " and ".join([", ".join(missing[:-1]), missing[-1]] if len(missing) > 1 else missing)
        raise ImportError(f'{user} needs {what}, but cannot find it; try pip install "nfteach[course]"')
