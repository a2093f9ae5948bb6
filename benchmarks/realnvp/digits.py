"""Bits per dimension on scikit-learn's digits: multi-scale RealNVP, flat RealNVP, and simpler models."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from benchmarks.frame import Run, Table, completed
from benchmarks.numbers import mean_and_error, plus_minus
from nfteach import datasets
from nfteach.flows import FlowDistribution, ImageRealNVP, Logit, RealNVP, Stack, bits_per_dim, dequantise
from nfteach.jacobian.rng import seeded
from nfteach.training import fit

__all__ = ["measure", "tables"]

LEVELS, DIM = 17, 64
SHRINKAGE = (0.0, 0.01, 0.03, 0.1, 0.3)  # of a covariance matrix towards its diagonal
SMOOTHING = (0.01, 0.03, 0.1, 0.3, 1.0)  # added to the count of each of a pixel's levels
#: The sizes of the two RealNVPs, with about the same number of parameters.
SHAPES = {
    "multi-scale RealNVP": {"scales": 2, "couplings": 2, "hidden": 24, "blocks": 3},
    "flat RealNVP": {"layers": 8, "hidden": (80, 80)},
}
#: The candidates, for each of the two RealNVPs, among which validation chooses.
CANDIDATES = [{"lr": lr, "decay": decay} for lr in (0.01, 0.004) for decay in (0.0, 0.3)]
FULL = {"steps": 600, "batch": 48, "every": 25, "noises": 20, "candidates": CANDIDATES}
QUICK = {"steps": 2, "batch": 16, "every": 1, "noises": 1, "candidates": CANDIDATES[:2]}


def model_of(kind: str) -> FlowDistribution:
    """Return the initial model of dequantised images (64,) in [0, 1)."""
    if kind == "flat RealNVP":
        flow: Stack = Stack(RealNVP(DIM, **SHAPES[kind]), Logit(DIM).inv)
    else:
        flow = ImageRealNVP((1, 8, 8), **SHAPES[kind])
    return FlowDistribution(Normal(torch.zeros(DIM), torch.ones(DIM)), flow)


def bits(log_prob: Tensor) -> dict[str, float]:
    """Return mean and standard error of bits per dimension over images, for log_prob (noises, N) or (N,) in nats."""
    each = bits_per_dim(log_prob.reshape(-1, log_prob.shape[-1]).double().mean(0), dim=DIM, levels=LEVELS)
    mean, error = mean_and_error(each)
    return {"bits": mean, "error": error}


def noisy(pixels: Tensor, noises: int, seed: int) -> Tensor:
    """Dequantise images (N, 64) several times, (noises, N, 64), with the noise of a seed."""
    return dequantise(pixels.expand(noises, -1, -1), LEVELS, torch.Generator().manual_seed(seed))


def simple(name: str, noises: int) -> dict:
    """Score one of the simple models on the test part, with its smoothing or shrinkage chosen on validation."""
    data = datasets.digits(binarised=False)
    train, validation, test = (
        noisy(pixels, noises, seed) for seed, pixels in enumerate((data.train, data.validation, data.test))
    )
    if name == "uniform":
        return {**bits(torch.zeros(len(data.test))), "chosen": ""}
    if name == "independent pixels":
        counts = torch.stack([(data.train == level).sum(0) for level in range(LEVELS)])  # (17, 64)

        def log_prob(smoothing: float, pixels: Tensor) -> Tensor:
            """Return the log-density (N,), which is constant on the interval of each level, 1 / 17 long."""
            p = (counts + smoothing) / (counts + smoothing).sum(0)
            return (p.log().gather(0, pixels.long()) + math.log(LEVELS)).sum(1)

        best = max(SMOOTHING, key=lambda smoothing: log_prob(smoothing, data.validation).mean().item())
        return {**bits(log_prob(best, data.test)), "chosen": f"{best:g} added to each count"}
    logit = Logit(DIM) if name == "Gaussian of logits" else None

    def moved(x: Tensor) -> tuple[Tensor, Tensor | float]:
        return (x, 0.0) if logit is None else logit.call_and_ladj(x)

    y = moved(train)[0].flatten(0, 1).double()
    covariance = torch.cov(y.T)

    def log_density(shrinkage: float, x: Tensor) -> Tensor:
        mixed = (1 - shrinkage) * covariance + shrinkage * covariance.diag().diag()
        value, ladj = moved(x.double())
        return MultivariateNormal(y.mean(0), mixed).log_prob(value) + ladj

    best = max(SHRINKAGE, key=lambda shrinkage: log_density(shrinkage, validation).mean().item())
    return {**bits(log_density(best, test)), "chosen": f"covariance shrunk by {best:g}"}


def train(run: Run, key: str, kind: str, setting: dict, *, lr: float, decay: float) -> dict:
    """Train by maximum likelihood with new noise in each step; keep the parameters with the lowest validation loss."""
    data = datasets.digits(binarised=False)
    with seeded(0):
        q = model_of(kind)

    def loss(q: FlowDistribution, pixels: Tensor) -> Tensor:
        return -q.log_prob(dequantise(pixels, LEVELS)).mean()

    def adam(parameters: Any, lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=True)

    history = completed(
        fit(
            q,
            data.train,
            loss=loss,
            validation=data.validation,
            steps=setting["steps"],
            batch_size=setting["batch"],
            lr=lr,
            optimizer=adam,
            schedule="cosine",
            max_grad_norm=20.0,
            validate_every=setting["every"],
            seed=0,
            progress=run.bars,
        )
    )
    torch.save(q.flow.state_dict(), run.file(key, ".pt"))
    with torch.no_grad():
        log_prob = q.log_prob(noisy(data.validation, setting["noises"], 1))
    return {
        "validation": bits(log_prob)["bits"],
        "step": history.best_step,
        "parameters": sum(parameter.numel() for parameter in q.flow.parameters()),
    }


def tested(run: Run, key: str, kind: str, noises: int) -> dict:
    """Score the chosen candidate on the test part."""
    q = model_of(kind)
    q.flow.load_state_dict(torch.load(run.file(key, ".pt")))
    with torch.no_grad():
        return bits(q.log_prob(noisy(datasets.digits(binarised=False).test, noises, 2)))


def measure(run: Run) -> dict[str, Any]:
    """Run a job for each simple model, each candidate, and each chosen one."""
    setting = QUICK if run.quick else FULL
    names = ("uniform", "independent pixels", "Gaussian of pixels", "Gaussian of logits")
    run.expect(len(names) + len(SHAPES) * (len(setting["candidates"]) + 1))

    def summary(result: dict) -> str:
        return f"{result['bits']:.3f} bits/dim"

    noises = setting["noises"]
    choices = {"smoothing": SMOOTHING, "shrinkage": SHRINKAGE}
    rows = {
        name: run.job(f"digits, {name}", lambda name=name: simple(name, noises), summary, noises=noises, **choices)
        for name in names
    }
    for kind, shape in SHAPES.items():
        found = {}
        settings = {"shape": shape, **{name: setting[name] for name in ("steps", "batch", "every", "noises")}}
        for candidate in setting["candidates"]:
            key = f"digits, {kind}, lr {candidate['lr']:g}, decay {candidate['decay']:g}"
            found[key] = run.job(
                key,
                lambda key=key, kind=kind, candidate=candidate: train(run, key, kind, setting, **candidate),
                lambda result: f"validation {result['validation']:.3f} bits/dim",
                **settings,
                **candidate,
            )
        best = min(found, key=lambda key: found[key]["validation"])
        test = run.job(
            f"digits, {kind}, test",
            lambda best=best, kind=kind: tested(run, best, kind, noises),
            summary,
            **settings,
            chosen=best,
            found=found,
        )
        rows[kind] = {**test, **found[best], "chosen": best.partition(f"{kind}, ")[2]}
    return {"rows": rows, "noises": noises, "candidates": len(setting["candidates"])}


def tables(results: dict[str, Any]) -> list[Table]:
    """Tabulate the scores, the worst first."""
    cells = []
    for name, row in sorted(results["rows"].items(), key=lambda item: -item[1]["bits"]):
        validation = f"{row['validation']:.3f}" if "validation" in row else ""
        parameters = f"{row['parameters']:,}" if "parameters" in row else ""
        cells.append([name, plus_minus(row["bits"], row["error"], digits=3), validation, parameters, row["chosen"]])
    return [
        Table(
            "Digits, 8 x 8 pixels of 17 levels: bits/dim, the lower the better",
            ["", "test", "validation", "parameters", "chosen on validation"],
            cells,
            f"1,197 images for training, 200 for validation, 400 for the test; ± the standard error over test images. "
            f"Uniform dequantisation, {results['noises']} draws of the noise for each image; {results['candidates']} "
            f"candidates of each RealNVP. No paper gives a figure for these images: the references are computed here. "
            f"Knowing nothing costs log2(17) = {math.log2(17):.3f}.",
        )
    ]
