"""What an exhibit is, and the ordinary checks that the broken layers passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getsource

import torch
from torch import Tensor, nn
from torch.distributions.transforms import Transform

from .. import JacobianReport, inspect_jacobian

__all__ = ["Exhibit", "Layer", "agree", "log_abs_det", "normal", "returns"]


class Layer(nn.Module):
    """A layer with one mistake, at the one ``if self.repaired`` in its source."""

    def __init__(self, *, repaired: bool = False) -> None:
        super().__init__()
        self.repaired = repaired


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A layer with one mistake, its repaired twin, and the check that the mistake slipped through.

    Attributes:
        name: its key in ``EXHIBITS``, such as ``planar-fold``.
        title: a few words.
        story: what is wrong, for a learner.
        reported: where public flow code had a mistake of this shape; "" if it is an example of our own.
        missed: why the tests of the time did not see it.
        code: of the finding that names the mistake.
        layer: ``layer(repaired=...)`` builds the layer; what differs stands at one ``if`` of its source.
        x: (B, *event) float32, the points to look at; both branches, where the layer has two.
        innocent: ``innocent(repaired=False)`` runs a check as its authors might have written it: True means passed,
            and it passes for the broken layer as for the repaired one.
        perturb: how far :meth:`inspect` moves the parameters, for a mistake that the initial ones hide; None: not.
        consequences: codes of further findings that the same mistake brings about, if any.

    Example:
        >>> from nfteach.jacobian.exhibits import EXHIBITS
        >>> fold = EXHIBITS["planar-fold"]
        >>> fold.innocent(), fold.inspect().ok
        (True, False)
        >>> fold.inspect(repaired=True).findings
        ()
    """

    name: str
    title: str
    story: str
    missed: str
    code: str
    layer: Callable[..., nn.Module | Transform]
    x: Tensor
    innocent: Callable[..., bool]
    reported: str = ""
    perturb: float | None = None
    consequences: frozenset[str] = frozenset()

    def broken(self) -> nn.Module | Transform:
        """A fresh broken layer, in evaluation mode, the same at every call."""
        return self._fresh(repaired=False)

    def repaired(self) -> nn.Module | Transform:
        """A fresh repaired twin, in evaluation mode, the same at every call."""
        return self._fresh(repaired=True)

    def _fresh(self, *, repaired: bool) -> nn.Module | Transform:
        layer = self.layer(repaired=repaired)
        return layer.eval() if isinstance(layer, nn.Module) else layer

    def inspect(self, repaired: bool = False) -> JacobianReport:
        """What the microscope says of the broken layer, or of its repaired twin."""
        return inspect_jacobian(self._fresh(repaired=repaired), self.x, perturb=self.perturb)

    @property
    def source(self) -> str:
        """The layer's code, in which the wrong line stands beside the right one."""
        return getsource(type(self.broken()))


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers of the given shape from a generator of their own: the same in every session."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# The checks below are those of an ordinary test file. They are not wrong; they are what was not enough.


def log_abs_det(layer: nn.Module, x: Tensor) -> Tensor:
    """(B,) nats: log|det J| at the points x (B, *event), by torch's Jacobian of one point at a time."""
    rows = [torch.autograd.functional.jacobian(lambda point: layer(point[None])[0][0], point) for point in x]
    return torch.stack([torch.linalg.slogdet(J.reshape(row.numel(), -1))[1] for J, row in zip(rows, x, strict=True)])


def agree(a: Tensor, b: Tensor | float, tolerance: float = 1e-4) -> bool:
    """Whether no entry of a differs from that of b by more than the tolerance, in absolute terms."""
    return bool(((a - b).abs() <= tolerance).all())


def returns(layer: nn.Module, x: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether x -> y -> x comes back."""
    return agree(layer.inverse(layer(x)[0])[0], x, tolerance)
