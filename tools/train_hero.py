"""Train the flow of the course's first picture and write its weights: `python tools/train_hero.py`, a minute.

The loss is the negative log-likelihood of two moons, plus a price on the squared distance that each layer moves the
points: without it the layers undo each other's work, and only the end of the path is worth looking at.
"""

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.utils import parameters_to_vector

from nfteach.flows import Stack
from nfteach.targets import make
from nfteach.widgets.hero import WEIGHTS, hero_flow, untrained

SEED, STEPS, BATCH, RATE, PRICE = 0, 1000, 256, 1e-2, 0.1


def log_prob_and_motion(flow: Stack, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean log-density () of x (N, 2) in nats, and the mean squared motion (K,) of each layer."""
    ladj, motion = 0.0, []
    for layer in reversed(flow.layers):
        z, part = layer.inverse_and_ladj(x)
        ladj, motion, x = ladj + part, [(x - z).square().sum(-1).mean(), *motion], z
    return (Normal(0, 1).log_prob(x).sum(-1) + ladj).mean(), torch.stack(motion)


def train() -> Stack:
    """Train on fresh samples of the target, in float32."""
    torch.manual_seed(SEED)
    target, flow = make("two moons"), untrained()
    optimiser = torch.optim.Adam(flow.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS, pct_start=0.05)
    for _ in range(STEPS):
        log_prob, motion = log_prob_and_motion(flow, target.sample((BATCH,)))
        optimiser.zero_grad()
        (PRICE * motion.sum() - log_prob).backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return flow


def main() -> None:
    """Train, write the weights, and print how well the stored flow does on points that it was not trained on."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    np.savez(WEIGHTS, parameters=parameters_to_vector(train().parameters()).detach().numpy().astype(np.float16))
    target = make("two moons")
    x = target.sample((20_000,)).double()
    log_prob, motion = log_prob_and_motion(hero_flow(), x)
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size:,} bytes")
    print(f"held-out log-likelihood {log_prob:.4f} nats, of the truth {target.log_prob(x).mean():.4f}")
    print("mean squared motion of each layer:", ", ".join(f"{each:.4f}" for each in motion))


if __name__ == "__main__":
    main()
