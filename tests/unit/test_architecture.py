"""Imports between the rooms of the package, circles of files, and the modules that `import nfteach` loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nfteach

PACKAGE = Path(nfteach.__file__).parent

# Room -> the rooms of the package that it may import. A new room must be entered here.
MAY_IMPORT = {
    "lazy": set(),
    "flows": set(),
    "jacobian": set(),
    "targets": set(),
    "datasets": {"lazy"},
    "training": {"flows"},
    "plots": {"lazy", "jacobian"},
    "widgets": {"lazy", "plots", "jacobian", "flows", "targets"},
    "exercises": {"lazy", "jacobian", "flows"},
    "testing": {"jacobian"},
    "pytest_plugin": {"testing"},
}
# The mathematics uses torch, the microscope NumPy too; neither draws.
THIRD_PARTY = {"flows": {"torch"}, "jacobian": {"torch", "numpy"}}
# The microscope accepts transforms of these libraries, but never imports them.
NEVER = {"zuko", "nflows", "normflows", "pyro", "distrax", "flowjax", "FrEIA"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    """Return the first part of a file's place in the package: `flows` for flows/planar.py, `fit` for fit.py."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, package: Path = PACKAGE) -> set[str]:
    """Return the full names of all modules and members that a file imports, relative imports resolved.

    `from .planar import Planar` in the flows is `nfteach.flows.planar` and `nfteach.flows.planar.Planar`. A public name
    imported from `nfteach` counts as a member of its room. Imports under `if TYPE_CHECKING:` count.
    """
    found: set[str] = set()
    parts = [package.name, *file.relative_to(package).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [alias.name for alias in node.names]
            if module == "nfteach":
                found |= {f"nfteach.{nfteach._HOME.get(name, name)}" for name in names}
            else:
                found |= {module, *(f"{module}.{name}" for name in names)}
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Return, for each file of a package, the files of the package that it imports; paths relative to the package."""
    places = {}
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        parts = place.parent.parts if place.name == "__init__.py" else place.with_suffix("").parts
        places[".".join([package.name, *parts])] = place.as_posix()
    graph = {}
    for place in places.values():
        names = imports(package / place, package)
        # `from .views import html` uses the file html.py, not the package's own.
        members = {name: {other for other in names if other.rpartition(".")[0] == name} for name in names}
        used = {name for name in names if not members[name] or not members[name] <= places.keys()}
        graph[place] = {places[name] for name in used if name in places} - {place}
    return graph


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the strongly connected components of a graph that have more than one node."""
    reached = {}
    for start in graph:
        reached[start], queue = set(), [start]
        while queue:
            new = graph[queue.pop()] - reached[start]
            reached[start] |= new
            queue += new
    return {
        frozenset(other for other in reached[node] if node in reached[other]) for node in graph if node in reached[node]
    }


def test_the_package_was_found():
    assert {"flows", "jacobian"} <= {room(file) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(file):
    here = room(file)
    named = imports(file)
    if here == "__init__":
        assert named == {"nfteach.lazy", "nfteach.lazy.attach"}, "nfteach/__init__.py must import no room at the top"
        return
    assert here in MAY_IMPORT, f"room {here} must be entered in MAY_IMPORT, but is missing"
    assert "nfteach" not in named, "files must import a room, not the whole package"
    ours = {name.split(".")[1] for name in named if name.startswith("nfteach.")}
    assert ours - {here} <= MAY_IMPORT[here]
    theirs = {name.split(".")[0] for name in named} - {"nfteach"} - sys.stdlib_module_names
    assert not theirs & NEVER
    if here in THIRD_PARTY:
        assert theirs <= THIRD_PARTY[here]


def test_no_files_import_each_other_in_a_circle():
    assert circles(import_graph(PACKAGE)) == set()


def test_a_circle_is_the_files_that_reach_each_other():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e", "d"}, "g": set()}
    assert circles(graph) == {frozenset("abc"), frozenset("ef")}
    assert circles(graph | {"c": set(), "e": set()}) == set()


def test_type_imports_and_imports_within_functions_close_a_circle(tmp_path):
    package = tmp_path / "demo"
    (package / "views").mkdir(parents=True)
    type_import = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..report import Report\n"
    for place, text in {
        "__init__.py": "from .report import Report\n",
        "report.py": "def show():\n    from .views import html\n",
        "views/__init__.py": "",
        "views/html.py": type_import + "import demo.tables\n",
        "tables.py": "import torch\nfrom . import views\nfrom . import Report\n",
    }.items():
        (package / place).write_text(text)
    graph = import_graph(package)
    assert graph["report.py"] == {"views/html.py"}
    assert graph["views/html.py"] == {"report.py", "tables.py"}
    assert graph["tables.py"] == {"views/__init__.py", "__init__.py"}
    (package / "tables.py").write_text("from . import views\n")
    graph = import_graph(package)
    assert graph["tables.py"] == {"views/__init__.py"}
    assert circles(graph) == {frozenset({"report.py", "views/html.py"})}


@pytest.mark.parametrize("name", nfteach.__all__)
def test_every_public_name_resolves_and_is_listed(name):
    assert getattr(nfteach, name) is not None
    assert name in dir(nfteach)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"'Plannar'.*Planar"):
        nfteach.Plannar  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `statement`."""
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
