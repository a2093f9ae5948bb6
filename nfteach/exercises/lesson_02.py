"""Lesson 02, NADE: one conditional, the running update, the log-likelihood, ancestral sampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from nfteach.exercises.comparing import same
from nfteach.exercises.drawing import normal
from nfteach.exercises.exercise import Exercise, Misconception

__all__ = ["activations", "conditional", "likelihood", "sampling"]


def _ordering(generator: torch.Generator, D: int) -> Tensor:
    """A permutation that is not its own inverse: mixing up steps and pixels always shows."""
    while True:
        ordering = torch.randperm(D, generator=generator)
        if not torch.equal(ordering[ordering], torch.arange(D)):
            return ordering


def _nade(generator: torch.Generator, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """ordering (D,), W (H, D), V (D, H), b (D,), c (H,), with D = 3, 4, 5, ...: weights so large that nothing hides."""
    D, H = 3 + index, 5 + index
    W, V = 1.5 * normal(generator, H, D), 1.5 * normal(generator, D, H)
    return _ordering(generator, D), W, V, 1.5 * normal(generator, D), 1.5 * normal(generator, H)


def _images(generator: torch.Generator, n: int, D: int) -> Tensor:
    """n random black and white images (n, D), and before them one that is all black."""
    pixels = torch.rand(n, D, generator=generator) < 0.5
    return torch.cat([torch.ones(1, D), pixels]).double()


def _logit_by_hand(
    x: list[float], d: int, o: list[int], W: list[list[float]], V: list[list[float]], b: list[float], c: list[float]
) -> float:
    """The logit of p(x_{o_d} = 1 | x_{o_<d}), number by number, as equations 2 and 3 of the paper stand."""
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


def _conditional(x: Tensor, d: int, ordering: Tensor, W: Tensor, V: Tensor, b: Tensor, c: Tensor) -> Tensor:
    before, pixel = ordering[:d], ordering[d]
    h = torch.sigmoid(x[:, before] @ W[:, before].T + c)
    return torch.sigmoid(h @ V[pixel] + b[pixel])


def _conditional_by_hand(x: Tensor, d: int, *nade: Tensor) -> Tensor:
    numbers = _lists(*nade)
    return torch.tensor([1 / (1 + math.exp(-_logit_by_hand(row, d, *numbers))) for row in x.tolist()]).double()


def _logit(x: Tensor, before: Tensor, pixel: Tensor | int, W: Tensor, V: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.sigmoid(x[:, before] @ W[:, before].T + c) @ V[pixel] + b[pixel]


conditional = Exercise(
    number="2.1",
    title="one conditional",
    arguments=("x", "d", "ordering", "W", "V", "b", "c"),
    returns=("p",),
    cases=_conditional_case,
    truth=_conditional_by_hand,
    answer=_conditional,
    reasoning=r"The first `d` entries of the ordering are the pixels that have been seen. Their columns of $W$, and no "
    r"others, go into the hidden units; $c$ is there from the start, so with `d = 0` it is all there is. Row $o_d$ of "
    r"$V$ and entry $o_d$ of $b$ belong to the pixel that is asked for.",
    hints=(
        "Which pixels have been seen? `ordering[:d]`: a list of places, which may stand between brackets. Which is "
        "asked for? `ordering[d]`.",
        "The seen pixels of all images are `x[:, before]`, (B, d), and their columns of W are `W[:, before]`, (H, d). "
        "Multiply the first by the transpose of the second.",
        "Add c, take the sigmoid: that is h, (B, H). Then `h @ V[pixel] + b[pixel]`, and the second sigmoid.",
    ),
    misconceptions=(
        Misconception(
            name="V is W transposed",
            message="You used W a second time, where V stands. They are two matrices: one reads pixels, the other "
            "predicts them.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, o[:d], o[d], W, W.T, b, c)),
        ),
        Misconception(
            name="x_d leaks",
            message="The pixel that is asked for is among those that the hidden units see: the model is told the "
            "answer before it is asked.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, o[: d + 1], o[d], W, V, b, c)),
        ),
        Misconception(
            name="one pixel late",
            message="The last of the pixels that have been seen is left out. Counted from 0, step d comes after d "
            "pixels.",
            answer=lambda x, d, o, *rest: torch.sigmoid(_logit(x, o[: d - 1], o[d], *rest)),
            # Of the slice [: d - 1] nearly everything is left when d is 0, of a loop over range(d - 1) nothing.
            fits=lambda came, x, d, o, *rest: any(
                same(came, torch.sigmoid(_logit(x, before, o[d], *rest)), 1e-4)
                for before in (o[: d - 1], o[: max(d - 1, 0)])
            ),
        ),
        Misconception(
            name="the ordering ignored",
            message="You went in raster order, pixel 0, 1, 2, ... What comes before is what comes before *in the "
            "ordering*.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, torch.arange(d), d, W, V, b, c)),
        ),
        Misconception(
            name="every pixel seen",
            message="The hidden units see the whole image. In step d only d pixels are known.",
            answer=lambda x, d, o, *rest: torch.sigmoid(_logit(x, torch.arange(len(o)), o[d], *rest)),
        ),
        Misconception(
            name="p of what the pixel is",
            message="Where the pixel is 0 you gave the probability of that. Asked for is the probability that it is 1, "
            "whatever it turns out to be.",
            answer=lambda x, d, o, *rest: torch.where(
                x[:, o[d]] == 1, _conditional(x, d, o, *rest), 1 - _conditional(x, d, o, *rest)
            ),
        ),
        Misconception(
            name="step for pixel",
            message="You took row d of V and entry d of b. d is the step; the pixel asked for in that step is another.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, o[:d], d, W, V, b, c)),
        ),
        Misconception(
            name="sigmoid twice",
            message="The last sigmoid is applied twice: all your probabilities lie between 0.5 and 0.73.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(torch.sigmoid(_logit(x, o[:d], o[d], W, V, b, c))),
        ),
        Misconception(
            name="a logit, not a probability",
            message="Some of your numbers are below 0 or above 1: they are logits. One more step makes "
            "probabilities of them.",
            answer=lambda x, d, o, W, V, b, c: _logit(x, o[:d], o[d], W, V, b, c),
        ),
        Misconception(
            name="hidden sigmoid missing",
            message="Between the activation and V the sigmoid is missing. Without it there is no hidden layer: the "
            "logit is linear in the pixels.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid((x[:, o[:d]] @ W[:, o[:d]].T + c) @ V[o[d]] + b[o[d]]),
        ),
        Misconception(
            name="without b",
            message="A bias is missing, the one of the output.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, o[:d], o[d], W, V, 0 * b, c)),
        ),
        Misconception(
            name="without c",
            message="A bias is missing, the one of the hidden units.",
            answer=lambda x, d, o, W, V, b, c: torch.sigmoid(_logit(x, o[:d], o[d], W, V, b, 0 * c)),
        ),
    ),
)


# ---- 2.2 ---------------------------------------------------------------------------------------------------------


def _activations_case(generator: torch.Generator, index: int) -> tuple:
    ordering, W, _, _, c = _nade(generator, index)
    return _images(generator, 3, len(ordering)), ordering, W, c


def _activations(x: Tensor, ordering: Tensor, W: Tensor, c: Tensor) -> Tensor:
    a = c.expand(len(x), len(c))
    rows = []
    for pixel in ordering:
        rows.append(a)
        a = a + W[:, pixel] * x[:, pixel, None]
    return torch.stack(rows, dim=1)


def _activations_afresh(x: Tensor, ordering: Tensor, W: Tensor, c: Tensor) -> Tensor:
    """Each a_d from all pixels before it, by a mask."""
    D = len(ordering)
    rank = ordering.argsort()
    return torch.stack([(x * (rank < d)) @ W.T + c for d in range(D)], dim=1)


def _shifted(x: Tensor, ordering: Tensor, W: Tensor, c: Tensor) -> Tensor:
    """a_1 to a_{D+1}, (B, D + 1, H)."""
    columns = W.T[ordering] * x[:, ordering, None]
    return torch.cat([c.expand(len(x), 1, -1), c + columns.cumsum(1)], dim=1)


activations = Exercise(
    number="2.2",
    title="the running update",
    arguments=("x", "ordering", "W", "c"),
    returns=("a",),
    cases=_activations_case,
    truth=_activations_afresh,
    answer=_activations,
    reasoning=r"$a_d$ is kept *before* the column of its own pixel is added: that keeps $x_{o_d}$ out of it. The "
    r"last column is computed and never used. `a = a + ...` makes a new tensor each time, so what has been kept stays "
    r"as it was.",
    hints=(
        "Begin with a = c for every image, `c.expand(len(x), len(c))`, and an empty list.",
        "For each pixel of the ordering: first keep a, then add the pixel's column of W to it, times the pixel.",
        "`W[:, pixel]` is (H,) and `x[:, pixel]` is (B,): with `x[:, pixel, None]` the product is (B, H). "
        "`torch.stack(rows, dim=1)` makes (B, D, H) of the list.",
    ),
    misconceptions=(
        Misconception(
            name="x_d leaks",
            message="Every activation is one column ahead: x_d is in a_d already. Which a is the one that pixel d is "
            "asked with?",
            answer=lambda x, o, W, c: _shifted(x, o, W, c)[:, 1:],
        ),
        Misconception(
            name="one step late",
            message="Every activation after the first is one column behind: the pixel just seen has not come in yet.",
            answer=lambda x, o, W, c: _shifted(x, o, W, c)[:, [0, *range(len(o) - 1)]],
        ),
        Misconception(
            name="one too many",
            message="These are D + 1 activations. The last pixel's column is in the last one, and there is no pixel "
            "left to ask for.",
            answer=_shifted,
        ),
        Misconception(
            name="c forgotten",
            message="The biases c are missing: before any pixel is seen, the hidden units get c, not 0.",
            answer=lambda x, o, W, c: _activations_afresh(x, o, W, 0 * c),
        ),
        Misconception(
            name="the ordering ignored",
            message="You added the columns in raster order. They come in the order in which the pixels are seen.",
            answer=lambda x, o, W, c: _activations_afresh(x, torch.arange(len(o)), W, c),
        ),
        Misconception(
            name="one pixel's column, another pixel",
            message="You multiplied the column of one pixel by another pixel. One of your two indices is the number of "
            "the step.",
            answer=lambda x, o, W, c: _activations_afresh(x[:, o.argsort()], o, W, c),
            fits=lambda came, x, o, W, c: any(
                same(came, mixed, 1e-4)
                for mixed in (
                    _activations_afresh(x[:, o.argsort()], o, W, c),
                    _activations_afresh(x, o, W[:, o.argsort()], c),
                )
            ),
        ),
        Misconception(
            name="in the pixels' places",
            message="The numbers are right, but each stands in the row of its pixel. The rows follow the steps.",
            answer=lambda x, o, W, c: _activations_afresh(x, o, W, c)[:, o.argsort()],
        ),
        Misconception(
            name="the column without its pixel",
            message="You added the columns of white pixels, too. A column counts only if its pixel is 1.",
            answer=lambda x, o, W, c: _activations_afresh(torch.ones_like(x), o, W, c),
        ),
        Misconception(
            name="one tensor D times",
            message="All your activations are the same, the last one: `+=` changes a tensor in place, also where it "
            "stands in your list.",
            answer=lambda x, o, W, c: _shifted(x, o, W, c)[:, -1:].expand(-1, len(o), -1),
        ),
        Misconception(
            name="the sigmoid taken",
            message="These are the hidden units h_d. The activations are what goes *into* the sigmoid.",
            answer=lambda x, o, W, c: torch.sigmoid(_activations_afresh(x, o, W, c)),
        ),
    ),
)


# ---- 2.3 ---------------------------------------------------------------------------------------------------------

_FAIR = 300.0  # nats; only beyond it a rounded or clamped probability shows


def _likelihood_case(generator: torch.Generator, index: int) -> tuple:
    """In the last case the model is certain of two pixels, and wrong about them in the first image and the second."""
    ordering, W, V, b, c = _nade(generator, index)
    x = _images(generator, 4, len(ordering))
    if index == 5:
        b[0], b[1] = -9000.0, 4000.0
        x[:2, 0], x[2:, 0] = 1.0, 0.0
        x[:2, 1], x[2:, 1] = 0.0, 1.0
    return x, ordering, W, V, b, c


def _log_likelihood(x: Tensor, ordering: Tensor, W: Tensor, V: Tensor, b: Tensor, c: Tensor) -> Tensor:
    a = c.expand(len(x), len(c))
    total = 0.0
    for pixel in ordering:
        logit = torch.sigmoid(a) @ V[pixel] + b[pixel]
        total = total + torch.where(x[:, pixel] == 1, logsigmoid(logit), logsigmoid(-logit))
        a = a + W[:, pixel] * x[:, pixel, None]
    return total


def _log_likelihood_by_hand(x: Tensor, *nade: Tensor) -> Tensor:
    o, *numbers = _lists(*nade)
    totals = []
    for row in x.tolist():
        signed = [(2 * row[o[d]] - 1) * _logit_by_hand(row, d, o, *numbers) for d in range(len(o))]
        totals.append(-sum(max(-s, 0.0) + math.log1p(math.exp(-abs(s))) for s in signed))
    return torch.tensor(totals).double()


def _logits(x: Tensor, o: Tensor, W: Tensor, V: Tensor, b: Tensor, c: Tensor, *, leak: int = 0) -> Tensor:
    """The logits (B, D) along the ordering; with ``leak=1``, of a model that is told x_d before it is asked."""
    a = _shifted(x, o, W, c)[:, leak : len(o) + leak]
    return (torch.sigmoid(a) * V[o]).sum(-1) + b[o]


def _log_bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    return logsigmoid((2 * x - 1) * logits)


def _agrees(came: object, expected: Tensor, case: tuple[Tensor, ...]) -> bool:
    """Whether an answer is this, leaving out what depends on rounding, and what came out infinite where it does."""
    if not isinstance(came, Tensor) or came.shape != expected.shape:
        return False
    came, b = came.detach().double(), case[4]
    fair = expected.abs() < _FAIR
    if b.abs().max() > _FAIR:
        fair = fair & came.isfinite()
    return torch.allclose(came[fair], expected[fair], rtol=1e-4, atol=1e-4)


def _likely(name: str, message: str, mistake: Callable[..., Tensor]) -> Misconception:
    """A mistake that is recognised also if, on top of it, probabilities are rounded before the logarithm."""
    return Misconception(
        name=name, message=message, answer=mistake, fits=lambda came, *case: _agrees(came, mistake(*case), case)
    )


def _is_sum_or_mean(came: object, *case: Tensor) -> bool:
    truth = _log_likelihood_by_hand(*case)
    return _agrees(came, truth.sum(), case) or _agrees(came, truth.mean(), case)


likelihood = Exercise(
    number="2.3",
    title="the log-likelihood",
    arguments=("x", "ordering", "W", "V", "b", "c"),
    returns=("log p(x)",),
    cases=_likelihood_case,
    truth=_log_likelihood_by_hand,
    answer=_log_likelihood,
    reasoning=r"A pixel with the logit $l$ adds $\log \sigma(l)$ if it is 1, $\log(1 - \sigma(l)) = \log \sigma(-l)$ "
    r"if it is 0. `logsigmoid` never computes the probability, so nothing is rounded to 0 on the way to its "
    r"logarithm. The sum runs over pixels; each image keeps a number of its own.",
    hints=(
        "Walk along the ordering with the running activation of exercise 2.2. In each step compute the logit of the "
        "next pixel, (B,), and add one term to a total.",
        "The term depends on the pixel: the log of the probability *of what the pixel is*. `torch.where(x[:, pixel] == "
        "1, ..., ...)` chooses for each image.",
        "If it is 1, the term is `logsigmoid(logit)`; if it is 0, `logsigmoid(-logit)`.",
    ),
    misconceptions=(
        _likely(
            "log p(1) for every pixel",
            "You added log p(x_d = 1) for every pixel, also where x_d is 0.",
            lambda x, *nade: logsigmoid(_logits(x, *nade)).sum(-1),
        ),
        _likely(
            "sign flipped",
            "The sign is flipped. That is the loss that training minimises; a log-probability is never above 0.",
            lambda x, o, *rest: -_log_bernoulli(_logits(x, o, *rest), x[:, o]).sum(-1),
        ),
        _likely(
            "mean over the pixels",
            "You took the mean over the pixels. The log of a product is the sum of the logs.",
            lambda x, o, *rest: _log_bernoulli(_logits(x, o, *rest), x[:, o]).mean(-1),
        ),
        Misconception(
            name="one number for the batch",
            message="That is one number for the whole batch. Each image has a log-likelihood of its own.",
            answer=lambda x, o, *rest: _log_bernoulli(_logits(x, o, *rest), x[:, o]).sum(),
            fits=_is_sum_or_mean,
        ),
        _likely(
            "x_d leaks",
            "x_d is in the activation with which x_d is scored: the model is told the answer, and its probabilities "
            "no longer add up to one.",
            lambda x, o, *rest: _log_bernoulli(_logits(x, o, *rest, leak=1), x[:, o]).sum(-1),
        ),
        _likely(
            "steps against pixels",
            "The conditionals stand in the order of the steps, the pixels in that of the image. You compared the d-th "
            "of one with the d-th of the other.",
            lambda x, *nade: _log_bernoulli(_logits(x, *nade), x).sum(-1),
        ),
        _likely(
            "the ordering ignored",
            "You took the pixels in raster order. In another order the same weights make another distribution.",
            lambda x, o, *rest: _log_bernoulli(_logits(x, torch.arange(len(o)), *rest), x).sum(-1),
        ),
        _likely(
            "no logarithm",
            "That is p(x). For 64 pixels it would be a number like 1e-8, for a large picture it would be rounded to 0: "
            "hence the logarithm.",
            lambda x, o, *rest: _log_bernoulli(_logits(x, o, *rest), x[:, o]).sum(-1).exp(),
        ),
        _likely(
            "0 and 1 swapped",
            "You gave the black pixels the term of a white one, and the white pixels that of a black one.",
            lambda x, o, *rest: _log_bernoulli(_logits(x, o, *rest), 1 - x[:, o]).sum(-1),
        ),
        _likely(
            "black pixels only",
            "Only the black pixels add a term. A white pixel tells something, too: it has the probability 1 - p.",
            lambda x, o, *rest: (x[:, o] * logsigmoid(_logits(x, o, *rest))).sum(-1),
        ),
        _likely(
            "1 minus the logarithm",
            "For a white pixel you took 1 - log p. The logarithm of 1 - p is another number.",
            lambda x, o, *rest: torch.where(
                x[:, o] == 1, logsigmoid(_logits(x, o, *rest)), 1 - logsigmoid(_logits(x, o, *rest))
            ).sum(-1),
        ),
        _likely(
            "never updated",
            "Every pixel is scored with the first activation, c, as if the pixels were independent.",
            lambda x, o, *rest: _log_bernoulli(_logits(0 * x, o, *rest), x[:, o]).sum(-1),
        ),
        Misconception(
            name="log of a rounded probability",
            message="Right for ordinary images. But where the model is certain of a pixel and wrong, its probability "
            "was rounded (or clamped) before the logarithm was taken.",
            answer=lambda x, o, *rest: torch.log(
                torch.where(x[:, o] == 1, torch.sigmoid(_logits(x, o, *rest)), 1 - torch.sigmoid(_logits(x, o, *rest)))
            ).sum(-1),
            fits=lambda came, *case: _agrees(came, _log_likelihood_by_hand(*case), case),
        ),
    ),
)


# ---- 2.4 ---------------------------------------------------------------------------------------------------------


def _sampling_case(generator: torch.Generator, index: int) -> tuple:
    """The first pixel drawn is 1 with probability 0.62, neither rare nor certain."""
    ordering, W, V, b, c = _nade(generator, index)
    first = ordering[0]
    b[first] = 0.5 - torch.sigmoid(c) @ V[first]
    return torch.rand(20, len(b), generator=generator, dtype=torch.float64), ordering, W, V, b, c


def _samples(u: Tensor, ordering: Tensor, W: Tensor, V: Tensor, b: Tensor, c: Tensor) -> Tensor:
    x = torch.zeros_like(u)
    a = c.expand(len(u), len(c))
    for d, pixel in enumerate(ordering):
        p = torch.sigmoid(torch.sigmoid(a) @ V[pixel] + b[pixel])
        x[:, pixel] = (u[:, d] < p).double()
        a = a + W[:, pixel] * x[:, pixel, None]
    return x


def _samples_by_hand(u: Tensor, *nade: Tensor) -> Tensor:
    o, *numbers = _lists(*nade)
    rows = []
    for uniform in u.tolist():
        rows.append([0.0] * len(o))
        for d, pixel in enumerate(o):
            p = 1 / (1 + math.exp(-_logit_by_hand(rows[-1], d, o, *numbers)))
            rows[-1][pixel] = 1.0 if uniform[d] < p else 0.0
    return torch.tensor(rows).double()


def _walk(
    u: Tensor,
    o: Tensor,
    W: Tensor,
    V: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    drawn: Callable | None = None,
    fed: Callable | None = None,
) -> Tensor:
    """Samples, or what a mistake makes of them.

    Args:
        drawn: ``drawn(p, u, d, pixel)`` is the value of the pixel; by default as it should be.
        fed: ``fed(p)`` is what the hidden units are told; by default the pixel.
    """
    x, a = torch.zeros_like(u), c.expand(len(u), len(c))
    for d, pixel in enumerate(o):
        p = torch.sigmoid((torch.sigmoid(a) * V[pixel]).sum(-1) + b[pixel])
        x[:, pixel] = (u[:, d] < p if drawn is None else drawn(p, u, d, pixel)).double()
        told = x[:, pixel] if fed is None else fed(p)
        a = a + W[:, pixel] * told[:, None]
    return x


def _not_binary(came: object, u: Tensor, *nade: Tensor) -> bool:
    """Probabilities in place of pixels, however they came about."""
    if not isinstance(came, Tensor) or came.shape != u.shape:
        return False
    return bool(((came >= 0) & (came <= 1)).all() and ((came > 0) & (came < 1)).any())


def _unmoved_by_u(came: object, u: Tensor, o: Tensor, *rest: Tensor) -> bool:
    """Whether the first pixel drawn changes to and fro as its uniform number grows, so that something else decided."""
    if not isinstance(came, Tensor) or came.shape != u.shape:
        return False
    first = came[u[:, 0].argsort(), o[0]]
    return int((first[1:] != first[:-1]).sum()) > 1


sampling = Exercise(
    number="2.4",
    title="ancestral sampling",
    arguments=("u", "ordering", "W", "V", "b", "c"),
    returns=("x",),
    cases=_sampling_case,
    truth=_samples_by_hand,
    answer=_samples,
    reasoning=r"It is the walk of the log-likelihood, with one line changed: the pixel is not read but drawn. A "
    r"uniform number lies below $p$ with probability $p$. What was drawn goes into the activation, so that all later "
    r"pixels know of it, and into the image at the place of its pixel.",
    hints=(
        "Walk along the ordering as in exercise 2.3. In step d you have the probability p of the next pixel for all n "
        "images, (n,).",
        "The pixel is 1 where `u[:, d] < p`. Write it into the samples at the pixel's own place, `x[:, pixel]`.",
        "Then update the activation with the pixel just drawn: its column of W, times `x[:, pixel, None]`.",
    ),
    misconceptions=(
        Misconception(
            name="not fed back",
            message="All pixels are drawn from the first activation, c, as if they were independent. What has been "
            "drawn has to reach the pixels that come later.",
            answer=lambda *case: _walk(*case, fed=torch.zeros_like),
        ),
        Misconception(
            name="a threshold, not a draw",
            message="You compared p with one half. Then all your images are the same: u has to decide.",
            answer=lambda *case: _walk(*case, drawn=lambda p, u, d, pixel: p > 0.5),
        ),
        Misconception(
            name="in the order of the steps",
            message="The pixels are right, and stand in the order in which you drew them. The d-th drawn is pixel o_d.",
            answer=lambda u, o, *rest: _walk(u, o, *rest)[:, o],
        ),
        Misconception(
            name="the ordering ignored",
            message="You drew in raster order. With these weights that is another distribution.",
            answer=lambda u, o, *rest: _walk(u, torch.arange(len(o)), *rest),
        ),
        Misconception(
            name="the probability fed back",
            message="The hidden units were told p, not the pixel. The later pixels have to know what *was* drawn.",
            answer=lambda *case: _walk(*case, fed=lambda p: p),
        ),
        Misconception(
            name="probabilities, not pixels",
            message="Your samples hold numbers between 0 and 1. A pixel is either: it has to be drawn.",
            answer=lambda *case: _walk(*case, drawn=lambda p, u, d, pixel: p),
            fits=_not_binary,
        ),
        Misconception(
            name="black and white swapped",
            message="Your pixels are 1 where u is above p: that happens with probability 1 - p.",
            answer=lambda *case: _walk(*case, drawn=lambda p, u, d, pixel: u[:, d] > p),
        ),
        Misconception(
            name="u against the logit",
            message="You compared u with the logit, which may be any number. A probability is what u has to lie below.",
            answer=lambda *case: _walk(*case, drawn=lambda p, u, d, pixel: u[:, d] < p.logit()),
        ),
        Misconception(
            name="u of the pixel, not of the step",
            message="u is used up step by step: its column d belongs to step d, whichever pixel that is.",
            answer=lambda *case: _walk(*case, drawn=lambda p, u, d, pixel: u[:, pixel] < p),
        ),
        Misconception(
            name="u not used",
            message="The first pixel that you draw does not follow u[:, 0]: other numbers decided, perhaps some that "
            "you drew yourself.",
            answer=lambda u, *nade: _walk(torch.rand_like(u), *nade),
            fits=_unmoved_by_u,
        ),
    ),
)
