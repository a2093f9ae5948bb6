"""The gallery: a notebook cell for each explorer, for the registry, the browser tests and the latency benchmark.

A new explorer gets a cell here, under its name in nfteach.widgets. Each cell stands alone, is quick, draws the same
picture in every run, and ends in the expression that shows the explorer. This file imports no torch.
"""

from collections.abc import Iterable
from pathlib import Path

import nbformat

__all__ = ["GALLERY", "REPLAYS", "STEPPED", "gallery_notebook", "notebook_of", "write_gallery", "write_notebook"]

_LAYERS = """
import torch
from nfteach import AffineCoupling, Planar, Stack
from nfteach.flows import half_mask
from nfteach.widgets import LayerStepper

torch.manual_seed(0)
flow = Stack(*(Planar(2) for _ in range(3)), AffineCoupling(half_mask(2), hidden=(8,)))
for parameter in flow.parameters():
    torch.nn.init.normal_(parameter, std=0.7)
LayerStepper(flow, samples=300, resolution=48)
"""

_TRAINING = """
import torch
from nfteach import FlowDistribution, RealNVP, fit, targets
from nfteach.widgets import TrainingReplay

torch.manual_seed(0)
base = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1)
q = FlowDistribution(base, RealNVP(2, layers=4, hidden=(16,)))
data = targets.make("two moons").sample((400,))
history = fit(q, data[:300], validation=data[300:], steps=120, lr=1e-2, snapshots=9, seed=0, progress=False)
TrainingReplay(q, history, data, samples=300, resolution=48)
"""

_POSTERIOR = """
import torch
from nfteach import Planar, Stack, fit, targets
from nfteach.widgets import PosteriorReplay

torch.manual_seed(0)
target, flow = targets.make("u1"), Stack(*(Planar(2) for _ in range(4)))
base = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1)

def free_energy(flow):
    z = base.sample((128,))
    x, ladj = flow.call_and_ladj(z)
    return (base.log_prob(z) - ladj + target.energy(x)).mean()

history = fit(flow, loss=free_energy, steps=200, lr=2e-2, snapshots=9, seed=0, progress=False)
PosteriorReplay(flow, history, target, resolution=48)
"""

_NADE = """
import torch
from nfteach import NADE
from nfteach.widgets import NADEStepper

torch.manual_seed(0)
nade = NADE(16, hidden=6)
for parameter in nade.parameters():
    torch.nn.init.normal_(parameter)
NADEStepper(nade, (torch.rand(5, 16) < 0.5).float(), shape=(4, 4))
"""

_LIVE = """
import torch
from nfteach.widgets import LiveFigure
from nfteach.widgets.parts import Dots, Plane

points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.3])
degrees = torch.linspace(0, 90, 12)

def frame(angle):
    c, s = torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()
    turned = points @ torch.stack([torch.stack([c, s]), torch.stack([-s, c])])
    return {"plane": Plane({"samples": Dots(turned)}), "readout": {"angle (°)": angle}}

LiveFigure(frames=[frame(angle) for angle in degrees], alt="points that turn about the origin")
"""

_PREDICTION = r"""
from nfteach.widgets import Prediction

Prediction(
    "A planar layer moves $z$ by $u$ times a number. How do two points on one plane $w^\\top z = c$ move?",
    {
        "by the same vector": ("right", "All that the layer asks about $z$ is $w^\\top z + b$."),
        "the one further out moves further": "How far out a point is plays no role.",
    },
)
"""

_LATENTS = """
import torch
from nfteach import RealNVP, Stack
from nfteach.datasets import digits
from nfteach.flows import Logit, dequantise
from nfteach.widgets import LatentExplorer

torch.manual_seed(0)
images = dequantise(digits(binarised=False).test[:20], levels=17)
LatentExplorer(Stack(RealNVP(64, layers=4, hidden=(32,)), Logit(64).inv), images, levels=17)
"""

#: Name of a class of nfteach.widgets -> the source of a cell that shows it.
GALLERY: dict[str, str] = {
    "StretchExplorer": "from nfteach.widgets import StretchExplorer\n\nStretchExplorer()",
    "MapExplorer1D": "from nfteach.widgets import MapExplorer1D\n\nMapExplorer1D()",
    "MapExplorer2D": "from nfteach.widgets import MapExplorer2D\n\nMapExplorer2D()",
    "NADEStepper": _NADE,
    "PlanarExplorer": "from nfteach.widgets import PlanarExplorer\n\nPlanarExplorer()",
    "LayerStepper": _LAYERS,
    "TrainingReplay": _TRAINING,
    "PosteriorReplay": _POSTERIOR,
    "CouplingExplorer": "from nfteach.widgets import CouplingExplorer\n\nCouplingExplorer()",
    "MaskExplorer": "from nfteach.widgets import MaskExplorer\n\nMaskExplorer()",
    "LatentExplorer": _LATENTS,
    "TriangularExplorer": "from nfteach.widgets import TriangularExplorer\n\nTriangularExplorer()",
    "KnotExplorer": "from nfteach.widgets import KnotExplorer\n\nKnotExplorer()",
    "RoutesExplorer": "from nfteach.widgets import RoutesExplorer\n\nRoutesExplorer()",
    "DigitExplorer": "from nfteach.widgets import DigitExplorer\n\nDigitExplorer()",
    "HeroExplorer": "from nfteach.widgets import HeroExplorer\n\nHeroExplorer()",
    "LiveFigure": _LIVE,
    "Prediction": _PREDICTION,
}

#: Explorers that step through the snapshots of a training.
REPLAYS = {"PosteriorReplay", "TrainingReplay"}
#: Explorers whose frames are in the browser: a move sends nothing, or renews them all.
STEPPED = REPLAYS | {"DigitExplorer", "HeroExplorer", "LayerStepper", "LiveFigure"}


def gallery_notebook(names: Iterable[str] | None = None) -> nbformat.NotebookNode:
    """Return a notebook with a cell for each name, in their order; by default for all of the gallery."""
    return notebook_of(*(GALLERY[name].strip() for name in (GALLERY if names is None else names)))


def write_gallery(path: Path, names: Iterable[str] | None = None) -> None:
    """Write the gallery, or the cells of these names, as a notebook."""
    nbformat.write(gallery_notebook(names), path)


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of these code cells."""
    nbformat.write(notebook_of(*cells), path)


def notebook_of(*cells: str) -> nbformat.NotebookNode:
    """Return a notebook of these code cells, for the kernel that the tests run in."""
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
