"""How a NADE is trained, chosen and scored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softshrink

from benchmarks.averaging import Averaged
from benchmarks.frame import whole
from nfteach.datasets import Dataset
from nfteach.flows import NADE
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
#: What is the same for all that is trained.
RECIPE = {"decay": DECAY, "patience": PATIENCE, "orderings": ORDERINGS}


@dataclass(frozen=True)
class Setting:
    """What is chosen on the validation part.

    Attributes:
        hidden: H.
        penalty: of L1, on the weights.
        ordering: ``"data"``, ``"random"``, or ``"all"`` for an order-agnostic NADE.
        rate: Adam's step size.
        epochs: at most.
        batch: rows of a step.
        start: weights begin at so much of NADE's own.
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
    """Adam, and after each of its steps ``penalty * lr`` off the absolute value of each entry of a matrix, down to 0.

    This is the proximal step of an L1 penalty, apart from the adaptive one as AdamW's weight decay is
    (Loshchilov & Hutter, 2019, https://arxiv.org/abs/1711.05101). Vectors are biases here, and are left alone.
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
    """Of the parameters in their running average after ``step`` steps; the first steps are soon forgotten."""
    return 1 - min(DECAY, step / (step + 10))


def independent(x: Tensor) -> Tensor:
    """p(x_i = 1), (D,), for rows x (N, D): the frequency of ones with one 0 and one 1 added, so that none is sure."""
    return (x.sum(0) + 1) / (len(x) + 2)


def blank(x: Tensor, setting: Setting, seed: int) -> NADE:
    """A NADE before it is trained on rows x (N, D)."""
    dim = x.shape[-1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # One random ordering for all seeds: it is part of the setting.
        ordering = torch.randperm(dim, generator=generator(0)) if setting.ordering == "random" else None
        nade = NADE(dim, setting.hidden, ordering, order_agnostic=setting.agnostic)
    with torch.no_grad():
        for parameter in nade.parameters():
            parameter.mul_(setting.start)
        nade.b.copy_(independent(x).logit())
    return nade


def train(data: Dataset, setting: Setting, seed: int, bars: bool) -> tuple[NADE, dict]:
    """The averaged NADE at its best look at the validation part, and how the training went; the test part is unused."""
    model = Averaged(blank(data.train, setting, seed), weight)
    history = whole(
        fit(
            model,
            data.train,
            loss=lambda model, x: losses(model.trained, x).mean(),
            validation=lambda model: looked_at(model.average, data.validation),
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
    """-log p(x) in nats, (B,), for x (B, D); of an order-agnostic NADE an estimate of its mean over all orderings."""
    return nade.order_agnostic_loss(x) if nade.order_agnostic else -nade.log_prob(x)


def looked_at(nade: NADE, x: Tensor) -> float:
    """The validation loss, for x (N, D): of an order-agnostic NADE by the same random cuts at each look."""
    if not nade.order_agnostic:
        return -score(nade, x).mean().item()
    rows, source = x.repeat(4, 1), generator(1)
    return nade.order_agnostic_loss(rows, source).mean().item()


@torch.no_grad()
def score(nade: NADE, x: Tensor, floats: int = 2**20) -> Tensor:
    """log p(x) in nats, (N,), for x (N, D): in the model's ordering, or averaged over 16 if it is order-agnostic.

    It goes in parts whose activations, (rows, D, H), are at most ``floats`` numbers and stay in the processor's cache.
    """
    source = generator(2)
    orderings = [torch.randperm(nade.dim, generator=source) for _ in range(ORDERINGS)]
    parts = x.split(max(floats // (nade.dim * nade.hidden), 1))
    return torch.cat([nade.ensemble_log_prob(p, orderings) if nade.order_agnostic else nade.log_prob(p) for p in parts])


def estimate(scores: Tensor) -> dict[str, float]:
    """The mean of scores (N,) and the standard error of that mean."""
    return {"mean": scores.mean().item(), "error": scores.std().item() / math.sqrt(len(scores))}


def chosen(candidates: list[dict]) -> int:
    """The number of the candidate with the highest mean log-likelihood of the validation part."""
    return max(range(len(candidates)), key=lambda k: candidates[k]["validation"])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
