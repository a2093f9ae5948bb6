"""The models that are compared, and how RNADE is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.averaging import Averaged
from benchmarks.frame import whole
from nfteach.flows import RNADE
from nfteach.training import History, fit

__all__ = ["FIXED", "Setting", "gaussian", "mixture_log_prob", "ordering_of", "rnade", "train", "weight"]

#: The same in all trainings of an RNADE; hidden units and rows in a batch as in the paper.
FIXED: dict[str, Any] = {"hidden": 50, "batch_size": 100, "max_grad_norm": 10.0, "memory": 10}


@dataclass(frozen=True)
class Setting:
    """What is chosen for an RNADE on the validation part; to begin with, these values."""

    ordering: str = "stored"
    components: int = 10
    weight_decay: float = 0.1
    lr: float = 0.05
    min_sigma: float = 1e-3


def weight(step: int) -> float:
    """Of the parameters in their running average, which reaches back over the last tenth of the steps or so.

    A step's weight fades as a power of its age: Stochastic gradient descent for non-smooth optimization (Shamir &
    Zhang, 2013), section 4, https://arxiv.org/abs/1212.1824
    """
    return FIXED["memory"] / (step + FIXED["memory"])


def ordering_of(name: str, dim: int) -> Tensor:
    """A permutation (D,): the attributes as they are ``"stored"``, ``"reversed"``, or ``"shuffled N"`` with seed N."""
    if name == "stored":
        return torch.arange(dim)
    if name == "reversed":
        return torch.arange(dim).flip(0)
    return torch.randperm(dim, generator=torch.Generator().manual_seed(int(name.removeprefix("shuffled "))))


def rnade(dim: int, setting: Setting) -> RNADE:
    """The model, not yet trained."""
    ordering = ordering_of(setting.ordering, dim)
    return RNADE(dim, FIXED["hidden"], setting.components, ordering, min_sigma=setting.min_sigma)


def train(x: Tensor, setting: Setting, *, seed: int, steps: int, bars: bool, **watched) -> tuple[Averaged, History]:
    """An RNADE fitted to x (N, D), in evaluation mode, and what happened.

    The step size stays the same, so that a short training is the beginning of a longer one.

    Args:
        watched: ``validation``, ``validate_every`` and ``patience`` as in ``fit``; then the best model is given back.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        density = rnade(x.shape[-1], setting)
    model = Averaged(density, weight)
    history = fit(
        model,
        x,
        steps=steps,
        batch_size=FIXED["batch_size"],
        lr=setting.lr,
        max_grad_norm=FIXED["max_grad_norm"],
        optimizer=_decaying(density, setting.weight_decay),
        seed=seed,
        progress=bars,
        callback=model.update,
        **watched,
    )
    return model.eval(), whole(history)


def _decaying(density: RNADE, weight_decay: float) -> Callable[..., torch.optim.AdamW]:
    """AdamW with decay of W and V; biases and the factors rho are left alone."""
    weights = {id(weight) for weight in (density.W, density.V_alpha, density.V_mu, density.V_sigma)}

    def optimizer(parameters: list[nn.Parameter], lr: float) -> torch.optim.AdamW:
        groups = [
            {"params": [p for p in parameters if id(p) in weights], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) not in weights], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=lr, fused=True)

    return optimizer


def gaussian(x: Tensor) -> torch.distributions.MultivariateNormal:
    """The Gaussian with full covariance, by maximum likelihood, for x (N, D)."""
    x = x.double()
    return torch.distributions.MultivariateNormal(x.mean(0), x.T.cov(correction=0))


def mixture_log_prob(x: Tensor, y: Tensor, components: int, added: float) -> Tensor:
    """log q(y), (M,) in nats, for y (M, D), under a mixture of full Gaussians fitted to x (N, D) by EM.

    Args:
        added: to each variance, after each step of EM.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, reg_covar=added, max_iter=300, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # scored as it is then
        return torch.from_numpy(mixture.fit(x.double().numpy()).score_samples(y.double().numpy()))
