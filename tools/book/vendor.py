"""The scripts of the pages, and their licences."""

import importlib.metadata
import json
import shutil
from pathlib import Path

import anywidget

from book.executed import ROOT

__all__ = ["copy_scripts"]

MODULES = Path(__file__).parent / "node_modules"
MANAGER = MODULES / "@jupyter-widgets" / "html-manager" / "dist"


def copy_scripts(assets: Path) -> None:
    """Copy the widget manager, its module loader and the search to the folder `assets`, with all licences."""
    # The manager looks for its fonts at the place that requirejs knows for its modules.
    names = ("base", "controls", "html-manager", "html-manager/dist/libembed-amd")
    paths = {f"@jupyter-widgets/{name}": f"assets/{name.rpartition('/')[2]}" for name in names}
    loader = (MODULES / "requirejs" / "require.js").read_text("utf-8")
    (assets / "require.js").write_text(f"var require = {json.dumps({'paths': paths})};\n{loader}", "utf-8")
    shutil.copy(MANAGER / "embed-amd.js", assets / "widgets.js")
    for font in MANAGER.glob("*.woff2"):  # symbols on buttons
        shutil.copy(font, assets)
    # Both are made for a loader that finds modules by the name of their file; here they are scripts of the page.
    module = (Path(anywidget.__file__).parent / "nbextension" / "index.js").read_text("utf-8")
    named = module.replace("define([", 'define("anywidget", [', 1)
    if named == module:
        raise ValueError("anywidget's nbextension must call define([...]), but does not; see how its module is made")
    (assets / "anywidget.js").write_text(f"{{\n{named}\n}}", "utf-8")
    search = (MODULES / "minisearch" / "dist" / "umd" / "index.js").read_text("utf-8").partition("//# sourceMapping")[0]
    (assets / "minisearch.js").write_text(f"(function (define) {{\n{search}\n}}).call(window);", "utf-8")
    (assets / "LICENSES.txt").write_text("\n\n".join(licences()), "utf-8")


def licences() -> list[str]:
    """Return the licence of the course and of every package whose code the pages have."""
    texts = {(ROOT / "LICENSE").read_text("utf-8"): ["nfteach"]}
    distribution = importlib.metadata.distribution("anywidget")
    for path in distribution.files or []:
        if "license" in path.name.lower():
            texts[path.read_text("utf-8")] = [f"anywidget {distribution.version}"]
    for description in sorted(MODULES.rglob("package.json")):
        about = json.loads(description.read_text("utf-8"))
        if "name" not in about or "version" not in about:
            continue  # a folder of a package, not a package
        found = [path for path in description.parent.iterdir() if path.name.lower().startswith(("license", "licence"))]
        text = found[0].read_text("utf-8") if found else f"Licence: {about.get('license')}"
        texts.setdefault(text, []).append(f"{about['name']} {about['version']}")
    return [f"{', '.join(names)}\n{'-' * 80}\n{text.strip()}" for text, names in texts.items()]
