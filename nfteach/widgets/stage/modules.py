"""ES modules joined into the one module text that anywidget takes."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["joined"]

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.\.?/[^"]+)";\n', re.MULTILINE)
_DECLARED = re.compile(
    r"^(export (?!default))?(?:async )?(?:const|let|function\*?|class) +(\w+|[\[{][^=]*)", re.MULTILINE
)


def joined(entry: Path) -> str:
    """Return a module and all that it imports, each once and after what it needs, as one module without imports.

    The modules then share one scope: each name is declared once in all of them.

    Args:
        entry: the module that has the default export; imports are of the form ``import { a, b } from "./c.js";``.

    Raises:
        ValueError: an import of another form, of a name that is not exported, or in a circle; a name that is declared
            twice.
    """
    exports: dict[Path, set[str]] = {}
    declared: dict[str, Path] = {}
    texts: list[str] = []

    def add(path: Path, importers: tuple[Path, ...] = ()) -> None:
        if path in importers:
            raise ValueError(f"{path.name} must not import itself, but does so by way of {importers[-1].name}")
        if path in exports:
            return
        text = path.read_text(encoding="utf-8")
        for names, source in _IMPORT.findall(text):
            target = (path.parent / source).resolve()
            add(target, (*importers, path))
            for name in filter(None, map(str.strip, names.split(","))):
                if name not in exports[target]:
                    raise ValueError(f"{path.name} imports {name!r}, which {target.name} does not export")
        text = _IMPORT.sub("", text)
        if other := re.search(r"^(?:import\b|export (?!default|async|const|let|function|class)).*", text, re.MULTILINE):
            raise ValueError(f'{path.name}: {other[0]!r} must be of the form import {{ a, b }} from "./c.js";')
        exports[path] = set()
        for exported, name in _DECLARED.findall(text):
            if not name.isidentifier() and not re.fullmatch(r"[\w$]+", name):
                raise ValueError(f"{path.name} must declare one name at a time, but declares {name.strip()}")
            if name in declared:
                raise ValueError(f"{name!r} is declared in {declared[name].name} and again in {path.name}")
            declared[name] = path
            if exported:
                exports[path].add(name)
        texts.append(re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE))

    add(entry.resolve())
    return "\n".join(texts)
