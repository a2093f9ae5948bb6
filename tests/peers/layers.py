"""What a test of another library's layer is made of: the layer, its points, and what its mathematics says of J."""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfteach.jacobian import JacobianReport, inspect_jacobian

__all__ = [
    "Layer",
    "check",
    "check_by_differences",
    "codes",
    "double_precision",
    "inside",
    "points",
    "slow_jacobian",
    "value",
]

SEED = 20260
# Central differences of a float64 layer with steps of 1e-5 hold eight digits where the map is smooth.
DIFFERENCES = 1e-6
# Where one of these is found, the claimed log-det is not, or need not be, that of J.
WITHOUT_ONE_LOG_DET = {"log-det-wrong", "non-deterministic", "samples-coupled", "singular"}


def points(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def inside(low: float, high: float, *shape: int, seed: int = 0) -> Tensor:
    """Uniform between two bounds."""
    unit = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return low + (high - low) * unit


@dataclass(frozen=True)
class Layer:
    """A layer and what is expected of it, written down from its mathematics before the inspector saw it.

    Attributes:
        name: for the test's name.
        build: makes the layer anew, at random (a seed is set before).
        structure: of J over all points, at random parameters.
        why: the mathematics in a line.
        x: the points, inside the layer's own domain.
        findings: code -> why it is right that the inspector finds it. Empty for a sound layer.
        at_start: the structure at initial parameters where that is a narrower one.
        perturb: how far the parameters are moved; None for a layer that has none, or that may only have its own.
        options: more arguments of the inspector, as a function of the layer.
        differences: how far J may lie from central differences, relative to 1 + its largest entry.
    """

    name: str
    build: Callable[[], Any]
    structure: str
    why: str
    x: Tensor = field(default_factory=lambda: points(7, 5))
    findings: dict[str, str] = field(default_factory=dict)
    at_start: str = ""
    perturb: float | None = 0.5
    options: Callable[[Any], dict[str, Any]] = lambda made: {}
    differences: float = DIFFERENCES

    def made(self) -> Any:
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - normflows draws from NumPy's global generator
        return self.build()


def check(expected: Layer) -> JacobianReport:
    """Assert that the inspector says of a layer what its mathematics says, and changes nothing in it."""
    made = expected.made()
    before = _tensors(made)
    report = inspect_jacobian(made, expected.x, perturb=expected.perturb, **expected.options(made))
    assert codes(report) == set(expected.findings), "\n".join(map(str, report.findings)) or "nothing was found"
    assert report.structure.name == expected.structure
    if expected.at_start:
        assert inspect_jacobian(made, expected.x).structure.name == expected.at_start
    if expected.perturb is not None:
        assert len(report.moved) > 0, "no parameter was found to move"
    after = _tensors(made)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    return report


def check_by_differences(expected: Layer) -> None:
    """Assert that the report's J and log-det are those of central differences of the layer itself.

    The layer is made in float64 and called as it is: nothing of the inspector stands between.
    """
    x = expected.x.double()
    with double_precision():
        made = expected.made()
        value(made, x)  # what sets itself up from the first batch has now done so
        report = inspect_jacobian(made, x, **expected.options(made))
        J = slow_jacobian(made, x, rows_apart="samples-coupled" in expected.findings)
    np.testing.assert_allclose(
        report.jacobian.numpy(), J.numpy(), atol=expected.differences * (1 + J.abs().max().item())
    )
    if report.log_det is not None and not WITHOUT_ONE_LOG_DET & set(expected.findings):
        true = np.linalg.slogdet(J.numpy())[1]
        np.testing.assert_allclose(report.log_det.numpy(), true, atol=1e-4)


def slow_jacobian(made: Any, x: Tensor, *, rows_apart: bool = False) -> Tensor:
    """J (B, D, D) at x (B, *event), column by column, by central differences of the layer's values.

    Args:
        made: the layer.
        x: (B, *event), float64.
        rows_apart: move one row of the batch at a time.
    """
    step = 1e-5
    flat = x.reshape(len(x), -1)
    if rows_apart:
        blocks = []
        for b in range(len(x)):
            before, after = flat[:b], flat[b + 1 :]

            def row(moved: Tensor, b=b, before=before, after=after) -> Tensor:
                return value(made, torch.cat([before, moved.flatten(1), after]).reshape(x.shape))[b : b + 1]

            blocks.append(slow_jacobian(row, x[b : b + 1]))
        return torch.cat(blocks)
    columns = []
    for j in range(flat.shape[1]):
        shift = torch.zeros_like(flat)
        shift[:, j] = step
        ahead, behind = (value(made, (flat + sign * shift).reshape(x.shape)) for sign in (1, -1))
        columns.append((ahead - behind).reshape(len(x), -1) / (2 * step))
    return torch.stack(columns, 2)


def value(made: Any, x: Tensor) -> Tensor:
    """y, whatever else the layer returns."""
    with torch.no_grad():
        out = made(x.clone())
    return out[0] if isinstance(out, tuple | list) else out


def codes(report: JacobianReport) -> set[str]:
    return {finding.code for finding in report.findings}


@contextmanager
def double_precision():
    """All that is made inside is float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _tensors(made: Any) -> dict[str, Tensor]:
    return copy.deepcopy(dict(made.state_dict())) if isinstance(made, nn.Module) else {}
