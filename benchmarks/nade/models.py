"""Training, selection and scoring of NADEs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softshrink

from benchmarks.averaging import Averaged
from benchmarks.frame import completed
from benchmarks.numbers import mean_and_error
from nfteach.datasets import Dataset
from nfteach.flows import NADE
from nfteach.jacobian.rng import seeded
from nfteach.training import fit

__all__ = [
    "RECIPE",
    "Setting",
    "ShrinkingAdam",
    "blank",
    "chosen",
    "estimate",
    "independent",
    "score",
    "train",
    "weight",
]

ORDERINGS = 16  # of EoNADE
DECAY, PATIENCE = 0.99, 10
#: The settings that all trainings share.
RECIPE = {"decay": DECAY, "patience": PATIENCE, "orderings": ORDERINGS}


@dataclass(frozen=True)
class Setting:
    """The settings of one training; one of several is chosen on the validation part.

    Attributes:
        hidden: the number of hidden units H.
        penalty: the strength of the L1 penalty on the weights.
        ordering: ``"data"``, ``"random"``, or ``"all"`` for an order-agnostic NADE.
        rate: Adam's step size.
        epochs: the maximum number of epochs.
        batch: the number of rows in a batch.
        start: the factor on NADE's own initial weights.
    """

    hidden: int
    penalty: float
    ordering: str
    rate: float
    epochs: int
    batch: int = 20
    start: float = 0.1

    @property
    def agnostic(self) -> bool:
        return self.ordering == "all"

    def __str__(self) -> str:
        return f"H={self.hidden} L1={self.penalty:g} rate={self.rate:g} {self.ordering}"


class ShrinkingAdam(torch.optim.Adam):
    """Adam with an L1 penalty: after each step it shrinks the entries of matrices towards 0 by ``penalty * lr``.

    This is the proximal step of the penalty, decoupled from the adaptive step like AdamW's weight decay
    (Loshchilov & Hutter, 2019, https://arxiv.org/abs/1711.05101). Vectors, which are biases here, are not shrunk.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, penalty: float) -> None:
        super().__init__(parameters, lr=lr, fused=True)
        self.penalty = penalty

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.dim() == 2:
                    parameter.copy_(softshrink(parameter, self.penalty * group["lr"]))
        return loss


def weight(step: int) -> float:
    """Return the weight of the parameters in their running average after ``step`` steps; the first steps fade soon."""
    return 1 - min(DECAY, step / (step + 10))


def independent(x: Tensor) -> Tensor:
    """Estimate p(x_i = 1) (D,) from rows x (N, D): the frequency of ones after adding one 0 and one 1."""
    return (x.sum(0) + 1) / (len(x) + 2)


def blank(x: Tensor, setting: Setting, seed: int) -> NADE:
    """Return a NADE that is initialised for training on rows x (N, D)."""
    dim = x.shape[-1]
    with seeded(seed):
        # All seeds share the random ordering, which is part of the setting.
        ordering = torch.randperm(dim, generator=generator(0)) if setting.ordering == "random" else None
        nade = NADE(dim, setting.hidden, ordering, order_agnostic=setting.agnostic)
    with torch.no_grad():
        for parameter in nade.parameters():
            parameter.mul_(setting.start)
        nade.b.copy_(independent(x).logit())
    return nade


def train(data: Dataset, setting: Setting, seed: int, bars: bool) -> tuple[NADE, dict]:
    """Train a NADE without the test part; return its average with the best validation loss, and a record."""
    model = Averaged(blank(data.train, setting, seed), weight)
    history = completed(
        fit(
            model,
            data.train,
            loss=lambda model, x: losses(model.trained, x).mean(),
            validation=lambda model: validation_loss(model.average, data.validation),
            epochs=setting.epochs,
            batch_size=setting.batch,
            lr=setting.rate,
            optimizer=partial(ShrinkingAdam, penalty=setting.penalty),
            patience=PATIENCE,
            seed=seed,
            progress=bars,
            callback=model.update,
        )
    )
    epoch = max(len(data.train) // setting.batch, 1)
    return model.average, {
        "validation": score(model.average, data.validation).mean().item(),
        "epoch": history.best_step / epoch,
        "curve": [(step / epoch, -value) for step, value in history.validation[1:]],
    }


def losses(nade: NADE, x: Tensor) -> Tensor:
    """Return -log p(x) (B,) in nats for x (B, D); of an order-agnostic NADE, estimate its mean over all orderings."""
    return nade.order_agnostic_loss(x) if nade.order_agnostic else -nade.log_prob(x)


def validation_loss(nade: NADE, x: Tensor) -> float:
    """Return the mean loss in nats on x (N, D); for an order-agnostic NADE with the same random cuts at every call."""
    if not nade.order_agnostic:
        return -score(nade, x).mean().item()
    rows, source = x.repeat(4, 1), generator(1)
    return nade.order_agnostic_loss(rows, source).mean().item()


@torch.no_grad()
def score(nade: NADE, x: Tensor, floats: int = 2**20) -> Tensor:
    """Return log p(x) (N,) in nats for x (N, D), by the model's ordering or, if it is order-agnostic, averaged over 16.

    The rows are split so that the activations (rows, D, H) are at most ``floats`` numbers, which fit the cache.
    """
    source = generator(2)
    orderings = [torch.randperm(nade.dim, generator=source) for _ in range(ORDERINGS)]
    parts = x.split(max(floats // (nade.dim * nade.hidden), 1))
    return torch.cat([nade.ensemble_log_prob(p, orderings) if nade.order_agnostic else nade.log_prob(p) for p in parts])


def estimate(scores: Tensor) -> dict[str, float]:
    """Return the mean of scores (N,) and the standard error of that mean."""
    mean, error = mean_and_error(scores)
    return {"mean": mean, "error": error}


def chosen(candidates: list[dict]) -> int:
    """Return the index of the candidate with the highest mean log-likelihood of the validation part."""
    return max(range(len(candidates)), key=lambda k: candidates[k]["validation"])


def generator(seed: int) -> torch.Generator:
    """Return a new generator with a seed."""
    return torch.Generator().manual_seed(seed)
