"""The rows of the speed benchmark: models, sizes, and tasks."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

__all__ = ["OURS", "ROWS", "SMALL", "Row"]

OURS = "nfteach"
TRAIN, DENSITY, SAMPLE = "training step", "log_prob", "sample"


@dataclass(frozen=True)
class Row:
    """A row of the table: one task on one model, in all libraries that support it.

    Attributes:
        model: a module of ``benchmarks.peers``.
        sizes: the arguments of its ``build`` after the library's name; the first is D.
        batch: the number of points.
        task: a training step, ``log_prob`` without gradients, or ``sample``.
    """

    model: str
    sizes: tuple
    batch: int
    task: str

    @property
    def peers(self) -> ModuleType:
        """The module that builds the model."""
        return import_module(f"benchmarks.peers.{self.model}")

    @property
    def libraries(self) -> list[str]:
        """The libraries, ours first; no other one inverts planar flows with h = tanh."""
        alone = (self.model, self.task) == ("planar", DENSITY)
        return [OURS] if alone else [OURS, *(name for name in self.peers.BUILDERS if name != OURS)]

    @property
    def words(self) -> str:
        """The row's name in the table."""
        words = {
            "realnvp": lambda dim, layers, hidden: f"RealNVP, D = {dim}",
            "planar": lambda dim, layers: f"planar, D = {dim}, K = {layers}",
            "autoregressive": lambda dim, hidden: f"autoregressive, D = {dim}, H = {hidden}",
        }
        return f"{words[self.model](*self.sizes)}, batch {self.batch}: {self.task}"


def rows(*models: tuple[str, tuple, int]) -> list[Row]:
    """Return the rows of all tasks on some models, each (model, sizes, batch)."""
    return [Row(*model, task) for model in models for task in (TRAIN, DENSITY, SAMPLE)]


COUPLINGS = (8, (64, 64))
ROWS = rows(
    ("realnvp", (2, *COUPLINGS), 256),
    ("realnvp", (2, *COUPLINGS), 4096),
    ("realnvp", (64, *COUPLINGS), 256),
    ("planar", (2, 32), 256),
    ("planar", (2, 32), 4096),
    ("autoregressive", (64, 64), 256),
    ("autoregressive", (784, 784), 32),
)
#: The rows of a quick run.
SMALL = rows(("realnvp", (2, 2, (8,)), 16), ("planar", (2, 2), 16), ("autoregressive", (6, 8), 16))
