"""Train the flow of the digit explorer and write its weights: `python tools/train_digits.py`, about a minute.

The 1,197 training digits are few for 132,576 parameters, so the flow that is stored is a running average of the
parameters, at the step where it does best on the validation digits.
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

from nfteach.datasets import digits
from nfteach.flows import ImageRealNVP, bits_per_dim, dequantise
from nfteach.widgets.digits import LEVELS, WEIGHTS, digit_flow, untrained

SEED, STEPS, BATCH, RATE, DECAY, AVERAGE, EVERY = 0, 1000, 64, 5e-3, 1e-3, 0.01, 25


def log_prob(flow: ImageRealNVP, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return log q(x | label) (N,) in nats, of pixels (N, D) with new noise."""
    z, ladj = flow.given(labels).inverse_and_ladj(dequantise(pixels, levels=LEVELS))
    return Normal(0, 1).log_prob(z).sum(-1) + ladj


def bits(flow: ImageRealNVP, pixels: Tensor, labels: Tensor) -> float:
    """Return the mean bits per dimension, always with the same noise."""
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        return bits_per_dim(log_prob(flow, pixels, labels).mean().item(), pixels.shape[1], LEVELS)


def train() -> ImageRealNVP:
    """Train by maximum likelihood, in float32."""
    data = digits(binarised=False)
    torch.manual_seed(SEED)
    flow = untrained()
    average, best, found = copy.deepcopy(flow), math.inf, flow
    optimiser = torch.optim.AdamW(flow.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(1, STEPS + 1):
        rows = torch.randint(len(data.train), (BATCH,))
        optimiser.zero_grad()
        (-log_prob(flow, data.train[rows], data.train_labels[rows]).mean()).backward()
        clip_grad_norm_(flow.parameters(), 20.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for mean, value in zip(average.parameters(), flow.parameters(), strict=True):
                mean.lerp_(value, AVERAGE)
        if step % EVERY == 0 and (score := bits(average, data.validation, data.validation_labels)) < best:
            best, found = score, copy.deepcopy(average)
            print(f"step {step}: {score:.3f} bits/dim on the validation digits")
    return found


def main() -> None:
    """Train, write the weights, and print the bits per dimension of the stored flow on the test digits."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    np.savez(WEIGHTS, parameters=parameters_to_vector(train().parameters()).detach().numpy().astype(np.float16))
    data, flow = digits(binarised=False), digit_flow()
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")
    print(f"test digits, given their labels: {bits(flow, data.test, data.test_labels):.3f} bits/dim")


if __name__ == "__main__":
    main()
