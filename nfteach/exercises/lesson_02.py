"""Lesson 02, NADE: one conditional, the running update, the log-likelihood, ancestral sampling, a model of these."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfteach.exercises.comparing import same
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.texts import text

__all__ = ["activations", "conditional", "likelihood", "own_nade", "sampling"]


def _ordering(generator: torch.Generator, D: int) -> Tensor:
    """Draw a permutation that is not its own inverse: mixing up steps and pixels always shows."""
    while True:
        ordering = torch.randperm(D, generator=generator)
        if not torch.equal(ordering[ordering], torch.arange(D)):
            return ordering


def _nade(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Draw ordering (D,), W (H, D), V (D, H), b (D,), c (H,), with D = 3, 4, 5, ...: large, so that none hides."""
    D, H = 3 + index, 5 + index
    W, V = 1.5 * draw(generator, H, D), 1.5 * draw(generator, D, H)
    return _ordering(generator, D), W, V, 1.5 * draw(generator, D), 1.5 * draw(generator, H)


def _images(generator: torch.Generator, n: int, D: int) -> Tensor:
    """Draw n black and white images (n, D), and before them one that is all black."""
    pixels = torch.rand(n, D, generator=generator) < 0.5
    return torch.cat([torch.ones(1, D), pixels]).double()


def _logit_by_hand(
    x: list[float], d: int, o: list[int], W: list[list[float]], V: list[list[float]], b: list[float], c: list[float]
) -> float:
    """Return the logit of p(x_{o_d} = 1 | x_{o_<d}), number by number, as equations 2 and 3 of the paper stand."""
    logit = b[o[d]]
    for k in range(len(c)):
        a = c[k] + sum(W[k][o[e]] * x[o[e]] for e in range(d))
        logit += V[o[d]][k] / (1 + math.exp(-a))
    return logit


def _lists(*tensors: Tensor) -> list[list]:
    return [tensor.tolist() for tensor in tensors]


# ---- 2.1 ---------------------------------------------------------------------------------------------------------


def _conditional_case(generator: torch.Generator, index: int) -> tuple:
    nade = _nade(generator, index)
    D = len(nade[0])
    d = (D // 2, 0, D - 1)[index % 3]
    return _images(generator, 4, D), d, *nade


def _conditional_by_hand(x: Tensor, d: int, *nade: Tensor) -> Tensor:
    numbers = _lists(*nade)
    return torch.tensor([1 / (1 + math.exp(-_logit_by_hand(row, d, *numbers))) for row in x.tolist()]).double()


def one_conditional(x, d, ordering, W, V, b, c):
    before, pixel = ordering[:d], ordering[d]
    h = torch.sigmoid(x[:, before] @ W[:, before].T + c)
    return torch.sigmoid(h @ V[pixel] + b[pixel])


conditional = Exercise(
    **text("2.1"),
    returns=("p",),
    cases=_conditional_case,
    truth=_conditional_by_hand,
    answer=one_conditional,
)


# ---- 2.2 ---------------------------------------------------------------------------------------------------------


def _activations_case(generator: torch.Generator, index: int) -> tuple:
    ordering, W, _, _, c = _nade(generator, index)
    return _images(generator, 3, len(ordering)), ordering, W, c


def _activations_afresh(x: Tensor, ordering: Tensor, W: Tensor, c: Tensor) -> Tensor:
    """Compute each a_d from all pixels before it, by a mask."""
    D = len(ordering)
    rank = ordering.argsort()
    return torch.stack([(x * (rank < d)) @ W.T + c for d in range(D)], dim=1)


def all_activations(x, ordering, W, c):
    a = c.expand(len(x), len(c))
    rows = []
    for pixel in ordering:
        rows.append(a)
        a = a + W[:, pixel] * x[:, pixel, None]
    return torch.stack(rows, dim=1)


activations = Exercise(
    **text("2.2"),
    returns=("a",),
    cases=_activations_case,
    truth=_activations_afresh,
    answer=all_activations,
)


# ---- 2.3 ---------------------------------------------------------------------------------------------------------


def _likelihood_case(generator: torch.Generator, index: int) -> tuple:
    """Draw a model that in the last case is certain of two pixels, and wrong about them in the first two images."""
    ordering, W, V, b, c = _nade(generator, index)
    x = _images(generator, 4, len(ordering))
    if index == 5:
        b[0], b[1] = -9000.0, 4000.0
        x[:2, 0], x[2:, 0] = 1.0, 0.0
        x[:2, 1], x[2:, 1] = 0.0, 1.0
    return x, ordering, W, V, b, c


def _log_likelihood_by_hand(x: Tensor, *nade: Tensor) -> Tensor:
    o, *numbers = _lists(*nade)
    totals = []
    for row in x.tolist():
        signed = [(2 * row[o[d]] - 1) * _logit_by_hand(row, d, o, *numbers) for d in range(len(o))]
        totals.append(-sum(max(-s, 0.0) + math.log1p(math.exp(-abs(s))) for s in signed))
    return torch.tensor(totals).double()


def _right_where_fair(came: object, *case: Tensor) -> bool:
    """Return whether an answer is right but where the model is certain and wrong, and rounding shows."""
    truth = _log_likelihood_by_hand(*case)
    fair = truth > -300.0
    return isinstance(came, Tensor) and came.shape == truth.shape and same(came[fair], truth[fair])


def log_likelihood(x, ordering, W, V, b, c):
    logsigmoid = torch.nn.functional.logsigmoid
    a, total = c.expand(len(x), len(c)), 0.0
    for pixel in ordering:
        logit = torch.sigmoid(a) @ V[pixel] + b[pixel]
        total = total + torch.where(x[:, pixel] == 1, logsigmoid(logit), logsigmoid(-logit))
        a = a + W[:, pixel] * x[:, pixel, None]
    return total


likelihood = Exercise(
    **text(
        "2.3",
        Misconception(
            name="log of a rounded probability",
            message="Right for ordinary images. But where the model is certain of a pixel and wrong, you rounded or "
            "clamped its probability before you took the logarithm.",
            edits=("logsigmoid(logit), logsigmoid(-logit) -> torch.sigmoid(logit).log(), torch.sigmoid(-logit).log()",),
            fits=_right_where_fair,
        ),
    ),
    extreme=1,
    returns=("log p(x)",),
    cases=_likelihood_case,
    truth=_log_likelihood_by_hand,
    answer=log_likelihood,
)


# ---- 2.4 ---------------------------------------------------------------------------------------------------------


def _sampling_case(generator: torch.Generator, index: int) -> tuple:
    """Draw a model whose first pixel is 1 with probability 0.62, neither rare nor certain."""
    ordering, W, V, b, c = _nade(generator, index)
    first = ordering[0]
    b[first] = 0.5 - torch.sigmoid(c) @ V[first]
    return torch.rand(20, len(b), generator=generator, dtype=torch.float64), ordering, W, V, b, c


def _samples_by_hand(u: Tensor, *nade: Tensor) -> Tensor:
    o, *numbers = _lists(*nade)
    rows = []
    for uniform in u.tolist():
        rows.append([0.0] * len(o))
        for d, pixel in enumerate(o):
            p = 1 / (1 + math.exp(-_logit_by_hand(rows[-1], d, o, *numbers)))
            rows[-1][pixel] = 1.0 if uniform[d] < p else 0.0
    return torch.tensor(rows).double()


def _not_binary(came: object, u: Tensor, *nade: Tensor) -> bool:
    """Return whether there are probabilities in place of pixels."""
    if not isinstance(came, Tensor) or came.shape != u.shape:
        return False
    return bool(((came >= 0) & (came <= 1)).all() and ((came > 0) & (came < 1)).any())


def _unmoved_by_u(came: object, u: Tensor, o: Tensor, *rest: Tensor) -> bool:
    """Return whether every pixel changes to and fro as any column of u grows, so that other numbers decided."""
    if not isinstance(came, Tensor) or came.shape != u.shape:
        return False
    follows = [[(pixel[uniform.argsort()].diff() != 0).sum() < 2 for pixel in came.T] for uniform in u.T]
    first = [one[o[0]] for one in follows]
    return not any(first)


def draw_samples(u, ordering, W, V, b, c):
    x = torch.zeros_like(u)
    a = c.expand(len(u), len(c))
    for d, pixel in enumerate(ordering):
        p = torch.sigmoid(torch.sigmoid(a) @ V[pixel] + b[pixel])
        x[:, pixel] = (u[:, d] < p).to(x.dtype)
        a = a + W[:, pixel] * x[:, pixel, None]
    return x


sampling = Exercise(
    **text(
        "2.4",
        Misconception(
            name="probabilities, not pixels",
            message="Your samples contain numbers between 0 and 1. A pixel is 0 or 1: draw it.",
            edits=("u[:, d] < p -> p",),
            fits=_not_binary,
        ),
        Misconception(
            name="u not used",
            message="The first pixel that you draw does not depend on u[:, 0]. Did you draw your own numbers?",
            edits=("u[:, d] < p -> torch.rand(len(u)) < p",),
            fits=_unmoved_by_u,
        ),
    ),
    returns=("x",),
    cases=_sampling_case,
    truth=_samples_by_hand,
    answer=draw_samples,
)


# ---- 2.5 ---------------------------------------------------------------------------------------------------------


def _own_nade_case(generator: torch.Generator, index: int) -> tuple:
    ordering, W, V, b, c = _nade(generator, index)
    u = torch.rand(20, len(b), generator=generator, dtype=torch.float64)
    return _images(generator, 4, len(b)), u, ordering, W, V, b, c


def _own_nade_by_hand(x: Tensor, u: Tensor, *nade: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    columns = [_conditional_by_hand(x, d, *nade) for d in range(len(nade[0]))]
    return _log_likelihood_by_hand(x, *nade), _samples_by_hand(u, *nade), torch.stack(columns, dim=1)


@torch.no_grad()
def _use(Model, x, u, ordering, W, V, b, c):
    """Make a model with these parameters and call its methods."""
    model = Model(len(b), len(c)).double()
    model.ordering.copy_(ordering)
    for name, value in {"W": W, "V": V, "b": b, "c": c}.items():
        getattr(model, name).copy_(value)
    return model(x), model.sample(u), model.conditionals(x)


class MyNADE(torch.nn.Module):
    def __init__(self, D, H):
        super().__init__()
        self.register_buffer("ordering", torch.arange(D))
        self.W = torch.nn.Parameter(torch.randn(H, D) / D**0.5)
        self.V = torch.nn.Parameter(torch.randn(D, H) / H**0.5)
        self.b = torch.nn.Parameter(torch.zeros(D))
        self.c = torch.nn.Parameter(torch.zeros(H))

    def forward(self, x):
        return log_likelihood(x, self.ordering, self.W, self.V, self.b, self.c)

    def sample(self, u):
        return draw_samples(u, self.ordering, self.W, self.V, self.b, self.c)

    def conditionals(self, x):
        given = self.ordering, self.W, self.V, self.b, self.c
        columns = [one_conditional(x, d, *given) for d in range(len(self.b))]
        return torch.stack(columns, dim=1)


own_nade = Exercise(
    **text("2.5"),
    arguments=("x", "u", "ordering", "W", "V", "b", "c"),
    returns=("forward(x)", "sample(u)", "conditionals(x)"),
    cases=_own_nade_case,
    truth=_own_nade_by_hand,
    answer=MyNADE,
    use=_use,
)
