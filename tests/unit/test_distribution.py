"""The dependencies of the package are enough for the flows, the training and the inspector with its reports."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pin import closure

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OF_THE_COURSE = {
    "anywidget",
    "ipywidgets",
    "matplotlib",
    "platformdirs",
    "sklearn",
    "tqdm",
    "IPython",
    "PIL",
    "traitlets",
}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A folder with this package, its dependencies, and theirs: links to what is installed here."""
    folder = tmp_path_factory.mktemp("site-packages")
    python = "{}.{}".format(*sys.version_info)
    for direct in names(PROJECT["dependencies"]):
        for name in (direct, *closure(direct, (), python)):
            installed = distribution(name)
            for top in {Path(file).parts[0] for file in installed.files or [] if not str(file).startswith("..")}:
                if not (folder / top).exists():
                    (folder / top).symlink_to(installed.locate_file(top))
    (folder / "nfteach").symlink_to(ROOT / "nfteach")
    return folder


def run(folder: Path, code: str) -> str:
    """Return what a program prints that sees the standard library and a folder of packages, and no other."""
    code = f"import sys; sys.path.append({str(folder)!r})\n{code}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_dependencies_are_torch_and_numpy():
    assert names(PROJECT["dependencies"]) == {"torch", "numpy"}
    assert not names(PROJECT["dependencies"]) & names(PROJECT["optional-dependencies"]["course"])


def test_the_packages_of_the_course_are_not_there(alone):
    code = f"from importlib.util import find_spec; print([n for n in {sorted(OF_THE_COURSE)} if find_spec(n)])"
    assert run(alone, code).strip() == "[]"


def test_reports_and_training_need_no_more(alone):
    printed = run(
        alone,
        "import json, nfteach, torch\n"
        "from nfteach.jacobian import inspect_layers\n"
        "from nfteach.testing import assert_sound\n"
        "x = torch.randn(4, 3)\n"
        "report = nfteach.inspect_jacobian(nfteach.Planar(3), x)\n"
        "stack = inspect_layers(nfteach.RealNVP(3, layers=2), x)\n"
        "assert_sound(nfteach.RealNVP(3, layers=1), x, perturb=0.5)\n"
        "base = torch.distributions.Normal(torch.zeros(2), torch.ones(2))\n"
        "flow = nfteach.FlowDistribution(base, nfteach.RealNVP(2, layers=2))\n"
        "losses = nfteach.fit(flow, nfteach.targets.make('two moons').sample((50,)), steps=3).losses\n"
        "html = report._repr_html_(), stack._repr_html_()\n"
        "print(json.dumps([str(report), *html, report.to_dict()['ok'], len(losses)]))\n",
    )
    text, html, table, ok, losses = json.loads(printed)
    assert "STRUCTURE: IDENTITY PLUS RANK ONE" in text
    assert "<svg" in html
    assert "<svg" in table
    assert ok is True
    assert losses == 3


@pytest.mark.parametrize(
    ("statement", "needs"),
    [
        ("import nfteach.widgets", "nfteach.widgets needs anywidget, ipywidgets and matplotlib,"),
        ("from nfteach.widgets import PlanarExplorer", "nfteach.widgets needs anywidget, ipywidgets and matplotlib,"),
        ("import nfteach; nfteach.plots", "nfteach.plots needs matplotlib"),
        ("import nfteach.exercises", "nfteach.exercises needs platformdirs"),
        ("import nfteach; nfteach.datasets.digits()", "nfteach.datasets.digits needs sklearn"),
        ("import nfteach; nfteach.datasets.wine()", "nfteach.datasets.wine needs sklearn"),
        ("import nfteach; nfteach.datasets.breast_cancer()", "nfteach.datasets.breast_cancer needs sklearn"),
    ],
)
def test_imports_of_the_course_name_the_extra(alone, statement, needs):
    printed = run(alone, f"try:\n    {statement}\nexcept ImportError as error:\n    print(error)")
    assert printed.startswith(needs)
    assert printed.strip().endswith('try pip install "nfteach[course]"')
