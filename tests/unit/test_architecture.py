"""Who may import whom, and what `import nfteach` loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nfteach

PACKAGE = Path(nfteach.__file__).parent

# Room -> the rooms of ours that it may import. A new room has to be entered here.
MAY_IMPORT = {
    "flows": set(),
    "jacobian": set(),
    "targets": set(),
    "datasets": set(),
    "training": {"flows"},
    "plots": {"jacobian"},
    "widgets": {"plots", "jacobian", "flows", "targets"},
    "exercises": {"jacobian", "flows"},
}
# The mathematics needs torch; the microscope looks at it with NumPy too. Neither draws.
THIRD_PARTY = {"flows": {"torch"}, "jacobian": {"torch", "numpy"}}
# The microscope works on these libraries' transforms without ever loading them.
NEVER = {"zuko", "nflows", "normflows", "pyro", "distrax", "flowjax", "FrEIA"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    """The first part of a file's place in the package: `flows` for flows/planar.py, `fit` for fit.py."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> set[str]:
    """Full names of all modules that a file imports anywhere in it when it runs, relative imports resolved.

    `from nfteach import flows` counts as `nfteach.flows`, and a public name as the room that it lives in. What stands
    under `if TYPE_CHECKING:` never runs and does not count.
    """
    found: set[str] = set()
    parts = ["nfteach", *file.relative_to(PACKAGE).parts[:-1]]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "nfteach":
                found |= {f"nfteach.{nfteach._HOME.get(alias.name, alias.name)}" for alias in node.names}
            else:
                found.add(module)
    return found


def test_the_package_was_found():
    assert {"flows", "jacobian"} <= {room(file) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(file):
    here = room(file)
    named = imports(file)
    if here == "__init__":
        assert named == {"importlib"}, "nfteach/__init__.py is lazy: it imports nothing at the top"
        return
    assert here in MAY_IMPORT, f"{here} is a new room: say in MAY_IMPORT what it may import"
    assert "nfteach" not in named, "import the room that is meant, not the whole package"
    ours = {name.split(".")[1] for name in named if name.startswith("nfteach.")}
    assert ours - {here} <= MAY_IMPORT[here]
    theirs = {name.split(".")[0] for name in named} - {"nfteach"} - sys.stdlib_module_names
    assert not theirs & NEVER
    if here in THIRD_PARTY:
        assert theirs <= THIRD_PARTY[here]


@pytest.mark.parametrize("name", nfteach.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(nfteach, name) is not None
    assert name in dir(nfteach)


def test_an_unknown_name_is_told_what_there_is():
    with pytest.raises(AttributeError, match=r"'Plannar'.*Planar"):
        nfteach.Plannar  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"torch", "numpy", "matplotlib", "ipywidgets", "anywidget", "sklearn", "scipy"}
    assert not loaded_by("import nfteach") & heavy


def test_the_mathematics_loads_neither_plots_nor_widgets():
    loaded = loaded_by("from nfteach import Planar, inspect_jacobian")
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "ipywidgets", "anywidget", "sklearn"}


def test_no_room_loads_another_flow_library():
    assert not loaded_by("from nfteach import *") & NEVER
