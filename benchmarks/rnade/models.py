"""The models of the comparison and the training of RNADE."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.averaging import Averaged
from benchmarks.frame import completed
from nfteach.flows import RNADE
from nfteach.jacobian.rng import seeded
from nfteach.training import History, fit

__all__ = ["FIXED", "Setting", "decaying", "gaussian", "mixture_log_prob", "ordering_of", "rnade", "train", "weight"]

#: The settings that all trainings of an RNADE share; hidden units and batch size as in the paper.
FIXED: dict[str, Any] = {"hidden": 50, "batch_size": 100, "max_grad_norm": 10.0, "memory": 10}


@dataclass(frozen=True)
class Setting:
    """The settings of an RNADE that are chosen on the validation part, and the values from which the search starts."""

    ordering: str = "stored"
    components: int = 10
    weight_decay: float = 0.1
    lr: float = 0.05
    min_sigma: float = 1e-3


def weight(step: int) -> float:
    """Return the weight of the parameters in their running average, which covers about the last tenth of the steps.

    A step's weight decays polynomially with its age: Stochastic gradient descent for non-smooth optimization (Shamir &
    Zhang, 2013), section 4, https://arxiv.org/abs/1212.1824
    """
    return FIXED["memory"] / (step + FIXED["memory"])


def ordering_of(name: str, dim: int) -> Tensor:
    """Return an ordering (D,) of the attributes: ``"stored"``, ``"reversed"``, or ``"shuffled N"`` with seed N."""
    if name == "stored":
        return torch.arange(dim)
    if name == "reversed":
        return torch.arange(dim).flip(0)
    return torch.randperm(dim, generator=torch.Generator().manual_seed(int(name.removeprefix("shuffled "))))


def rnade(dim: int, setting: Setting) -> RNADE:
    """Return an untrained RNADE."""
    ordering = ordering_of(setting.ordering, dim)
    return RNADE(dim, FIXED["hidden"], setting.components, ordering, min_sigma=setting.min_sigma)


def train(x: Tensor, setting: Setting, *, seed: int, steps: int, bars: bool, **watched) -> tuple[Averaged, History]:
    """Fit an RNADE to x (N, D); return it in evaluation mode with its history.

    The step size is constant, so that a short training is the beginning of a longer one.

    Args:
        x: the training rows, standardised.
        setting: the chosen settings.
        seed: the seed of the initial parameters and of the batches.
        steps: the maximum number of steps.
        bars: show a progress bar.
        watched: ``validation``, ``validate_every`` and ``patience`` of ``fit``; with them the best model is returned.
    """
    with seeded(seed):
        density = rnade(x.shape[-1], setting)
    model = Averaged(density, weight)
    history = fit(
        model,
        x,
        steps=steps,
        batch_size=FIXED["batch_size"],
        lr=setting.lr,
        max_grad_norm=FIXED["max_grad_norm"],
        optimizer=decaying(density, setting.weight_decay),
        seed=seed,
        progress=bars,
        callback=model.update,
        **watched,
    )
    return model.eval(), completed(history)


def decaying(density: RNADE, weight_decay: float) -> Callable[..., torch.optim.AdamW]:
    """Return AdamW with weight decay on W and V only, not on biases and the factors rho."""
    weights = {id(weight) for weight in (density.W, density.V_alpha, density.V_mu, density.V_sigma)}

    def optimizer(parameters: list[nn.Parameter], lr: float) -> torch.optim.AdamW:
        groups = [
            {"params": [p for p in parameters if id(p) in weights], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) not in weights], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=lr, fused=True)

    return optimizer


def gaussian(x: Tensor) -> torch.distributions.MultivariateNormal:
    """Fit a Gaussian with full covariance to x (N, D) by maximum likelihood."""
    x = x.double()
    return torch.distributions.MultivariateNormal(x.mean(0), x.T.cov(correction=0))


def mixture_log_prob(x: Tensor, y: Tensor, components: int, added: float) -> Tensor:
    """Fit a mixture of full Gaussians by EM; return its log q(y) (M,) in nats.

    Args:
        x: the training rows (N, D).
        y: the rows to score (M, D).
        components: the number of Gaussians.
        added: the constant added to each variance after each step of EM.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, reg_covar=added, max_iter=300, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the mixture is scored anyway
        return torch.from_numpy(mixture.fit(x.double().numpy()).score_samples(y.double().numpy()))
