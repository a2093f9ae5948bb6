"""Lesson 02, NADE: one conditional, the running update, the log-likelihood, ancestral sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfteach.exercises.comparing import same
from nfteach.exercises.drawing import draw
from nfteach.exercises.exercise import Exercise, Misconception
from nfteach.exercises.mistakes import slips

__all__ = ["activations", "conditional", "likelihood", "sampling"]


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
    number="2.1",
    title="one conditional",
    returns=("p",),
    cases=_conditional_case,
    truth=_conditional_by_hand,
    answer=one_conditional,
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
    misconceptions=slips(r"""
        V is W transposed: You used W a second time, where V stands. They are two matrices: one reads pixels, the
            other predicts them.
            h @ V[pixel] -> h @ W[:, pixel]
        x_d leaks: The pixel that is asked for is among those that the hidden units see: the model is told the answer
            before it is asked.
            ordering[:d] -> ordering[: d + 1]
        one pixel late: The last of the pixels that have been seen is left out. Counted from 0, step d comes after d
            pixels.
            ordering[:d] -> ordering[: d - 1]
            ordering[:d] -> ordering[: max(d - 1, 0)]
        the ordering ignored: You went in raster order, pixel 0, 1, 2, ... What comes before is what comes before *in
            the ordering*.
            ordering[:d], ordering[d] -> torch.arange(d), d
        raster columns: You took the first d columns of the image, in raster order. The pixels that were seen are
            `ordering[:d]`.
            ordering[:d] -> torch.arange(d)
        every pixel seen: The hidden units see the whole image. In step d only d pixels are known.
            ordering[:d] -> ordering
        p of what the pixel is: Where the pixel is 0 you gave the probability of that. Asked for is the probability
            that it is 1, whatever it turns out to be.
            torch.sigmoid(h @ V[pixel] + b[pixel]) ->
            torch.sigmoid((2 * x[:, pixel] - 1) * (h @ V[pixel] + b[pixel]))
        p of a zero: That is the probability that the pixel is 0.
            torch.sigmoid(h @ V[pixel] + b[pixel]) -> torch.sigmoid(-h @ V[pixel] - b[pixel])
        step for pixel: You took row d of V and entry d of b. d is the step; the pixel asked for in that step is
            another.
            ordering[:d], ordering[d] -> ordering[:d], d
        sigmoid twice: The last sigmoid is applied twice: all your probabilities lie between 0.5 and 0.73.
            torch.sigmoid(h @ V[pixel] + b[pixel]) -> torch.sigmoid(torch.sigmoid(h @ V[pixel] + b[pixel]))
        a logit, not a probability: Some of your numbers are below 0 or above 1: they are logits. One more step makes
            probabilities of them.
            return torch.sigmoid(h @ V[pixel] + b[pixel]) -> return h @ V[pixel] + b[pixel]
        hidden sigmoid missing: Between the activation and V the sigmoid is missing. Without it there is no hidden
            layer: the logit is linear in the pixels.
            h = torch.sigmoid(x[:, before] @ W[:, before].T + c) -> h = x[:, before] @ W[:, before].T + c
        tanh for the sigmoid: The hidden units have another nonlinearity with you. In (3) it is the sigmoid.
            h = torch.sigmoid -> h = torch.tanh
            h = torch.sigmoid -> h = torch.relu
        without b: A bias is missing, the one of the output.
            + b[pixel] ->
        without c: A bias is missing, the one of the hidden units.
            + c) -> )
        the pixels that come later: The hidden units see the pixels that come later, and not those that came before.
            ordering[:d] -> ordering[d + 1 :]
            ordering[:d] -> ordering[d:]
        places for pixels: You read the ordering the wrong way round: ordering[d] is the pixel of step d, not the step
            of pixel d.
            before, pixel = ordering[:d], ordering[d] -> o = ordering.argsort(); before, pixel = o[:d], o[d]
        the logarithm: That is the logarithm of the probability. The probability itself is asked for.
            return torch.sigmoid(h @ V[pixel] + b[pixel]) -> return torch.sigmoid(h @ V[pixel] + b[pixel]).log()
        0 or 1: You made a decision, 0 or 1. The probability is asked for.
            torch.sigmoid(h @ V[pixel] + b[pixel]) -> (torch.sigmoid(h @ V[pixel] + b[pixel]) > 0.5).double()
    """),
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
    number="2.2",
    title="the running update",
    returns=("a",),
    cases=_activations_case,
    truth=_activations_afresh,
    answer=all_activations,
    reasoning=r"$a_d$ is kept *before* the column of its own pixel is added: that keeps $x_{o_d}$ out of it. The "
    r"last column is computed and never used. `a = a + ...` makes a new tensor each time, so what has been kept stays "
    r"as it was.",
    hints=(
        "Begin with a = c for every image, `c.expand(len(x), len(c))`, and an empty list.",
        "For each pixel of the ordering: first keep a, then add the pixel's column of W to it, times the pixel.",
        "`W[:, pixel]` is (H,) and `x[:, pixel]` is (B,): with `x[:, pixel, None]` the product is (B, H). "
        "`torch.stack(rows, dim=1)` makes (B, D, H) of the list.",
    ),
    misconceptions=slips(r"""
        x_d leaks: Every activation is one column ahead: x_d is in a_d already. Which a is the one that pixel d is
            asked with?
            rows.append(a) -> pass ;; * x[:, pixel, None] -> * x[:, pixel, None]; rows.append(a)
        one step late: Every activation after the first is one column behind: the pixel just seen has not come in yet.
            return torch.stack(rows, dim=1) -> return torch.stack([rows[0], *rows[:-1]], dim=1)
        one too many: These are D + 1 activations. The last pixel's column is in the last one, and there is no pixel
            left to ask for.
            return torch.stack(rows, dim=1) -> return torch.stack([*rows, a], dim=1)
        c forgotten: The biases c are missing: before any pixel is seen, the hidden units get c, not 0.
            a = c.expand(len(x), len(c)) -> a = x.new_zeros(len(x), len(c))
        the ordering ignored: You added the columns in raster order. They come in the order in which the pixels are
            seen.
            in ordering -> in range(len(ordering))
        one pixel's column, another pixel: You multiplied the column of one pixel by another pixel. One of your two
            indices is the number of the step.
            in ordering -> in ordering ;; W[:, pixel] * x[:, pixel, None] -> W[:, pixel] * x[:, len(rows) - 1, None]
            W[:, pixel] -> W[:, len(rows) - 1]
        in the pixels' places: The numbers are right, but each stands in the row of its pixel. The rows follow the
            steps.
            return torch.stack(rows, dim=1) -> return torch.stack(rows, dim=1)[:, ordering.argsort()]
        one tensor D times: All your activations are the same, with every pixel in them. In row d only the pixels before
            step d count. (If you collected them in a list: `+=` changes a tensor in place, also where it stands in
            your list.)
            a = a + W -> a += W ;; c.expand(len(x), len(c)) -> c.repeat(len(x), 1)
        the sigmoid taken: These are the hidden units h_d. The activations are what goes *into* the sigmoid.
            rows.append(a) -> rows.append(torch.sigmoid(a))
        only the pixel just seen: Each row has the column of one pixel only. The update adds to what was there.
            a = a + -> a = c +
        c added in every step: c is added in every step. It is there once, from the start.
            a = a + W -> a = a + c + W
        the column without the pixel: You added the columns of all pixels, also of those that are 0. Each column is
            multiplied by its pixel.
            * x[:, pixel, None] ->
        in reverse order: You went through the ordering from its end.
            in ordering -> in ordering.flip(0)
        steps stacked first: The numbers are right, with the steps in the first dimension. Asked for is (B, D, H):
            `dim=1`.
            dim=1 -> dim=0
        subtracted: You subtracted the columns. They are added.
            a = a + W -> a = a - W
        all but its own pixel: Every row has seen all pixels but its own, the later ones as well.
            torch.stack(rows, dim=1) -> torch.stack([a - W[:, i] * x[:, i, None] for i in ordering], dim=1)
    """),
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
    number="2.3",
    title="the log-likelihood",
    extreme=1,
    returns=("log p(x)",),
    cases=_likelihood_case,
    truth=_log_likelihood_by_hand,
    answer=log_likelihood,
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
        *slips(r"""
        log p(1) for every pixel: You added log p(x_d = 1) for every pixel, also where x_d is 0.
            torch.where(x[:, pixel] == 1, logsigmoid(logit), logsigmoid(-logit)) -> logsigmoid(logit)
        sign flipped: The sign is flipped. That is the loss that training minimises; a log-probability is never above
            0.
            return total -> return -total
        mean over the pixels: You took the mean over the pixels. The log of a product is the sum of the logs.
            return total -> return total / len(ordering)
        one number for the batch: That is one number for the whole batch. Each image has a log-likelihood of its own.
            return total -> return total.sum()
            return total -> return total.mean()
        x_d leaks: x_d is in the activation with which x_d is scored: the model is told the answer, and its
            probabilities no longer add up to one.
            logit = torch.sigmoid(a) -> \n        logit = torch.sigmoid(a + W[:, pixel] * x[:, pixel, None])
        steps against pixels: The conditionals stand in the order of the steps, the pixels in that of the image. You
            compared the d-th of one with the d-th of the other.
            a, total = -> step, a, total = -1, ;; logit = -> step += 1; logit = ;; x[:, pixel] == 1 -> x[:, step] == 1
        the ordering ignored: You took the pixels in raster order. In another order the same weights make another
            distribution.
            in ordering -> in range(len(ordering))
        in reverse order: You went through the ordering from its end.
            in ordering -> in ordering.flip(0)
        no logarithm: That is p(x). For 64 pixels it would be a number like 1e-8, for a large picture it would be
            rounded to 0: hence the logarithm.
            return total -> return total.exp()
        0 and 1 swapped: You gave the black pixels the term of a white one, and the white pixels that of a black one.
            x[:, pixel] == 1 -> x[:, pixel] == 0
        black pixels only: Only the black pixels add a term. A white pixel tells something, too: it has the
            probability 1 - p.
            logsigmoid(-logit)) -> 0 * logit)
        1 minus the logarithm: For a white pixel you took 1 - log p. The logarithm of 1 - p is another number.
            logsigmoid(-logit)) -> 1 - logsigmoid(logit))
        never updated: Every pixel is scored with the first activation, c, as if the pixels were independent.
            a = a + W -> a = a + 0 * W
        only the pixel just seen: Each pixel knows of the one before it only: the update adds to what was there.
            a = a + W -> a = c + W
        the column without the pixel: You added the columns of all pixels, also of those that are 0. Each column is
            multiplied by its pixel.
            a = a + W[:, pixel] * x[:, pixel, None] -> a = a + W[:, pixel]
        probabilities added: You added probabilities. They are multiplied; their logarithms add.
            logsigmoid(logit), logsigmoid(-logit) -> torch.sigmoid(logit), torch.sigmoid(-logit)
        hidden sigmoid missing: Between the activation and V the sigmoid is missing.
            torch.sigmoid(a) @ V -> a @ V
        without b: A bias is missing, the one of the output.
            + b[pixel] ->
        without c: A bias is missing, the one of the hidden units.
            c.expand(len(x), len(c)), 0.0 -> 0 * c.expand(len(x), len(c)), 0.0
        in bits: These are bits: the logarithm is to base 2. Natural logarithms are asked for.
            return total -> return total / torch.tensor(2.0).log()
        the last pixel alone: That is the term of the last pixel alone: in each round the sum is overwritten.
            total = total + -> total =
        one per pixel: These are the terms, one for each pixel. Their sum is asked for.
            total = total + torch.where -> total = torch.cat([total, torch.where ;;
            logsigmoid(-logit)) -> logsigmoid(-logit))[:, None]], 1) ;; 0.0 -> x[:, :0]
    """),
        Misconception(
            name="log of a rounded probability",
            message="Right for ordinary images. But where the model is certain of a pixel and wrong, its probability "
            "was rounded (or clamped) before the logarithm was taken.",
            edits=("logsigmoid(logit), logsigmoid(-logit) -> torch.sigmoid(logit).log(), torch.sigmoid(-logit).log()",),
            fits=_right_where_fair,
        ),
    ),
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
    number="2.4",
    title="ancestral sampling",
    returns=("x",),
    cases=_sampling_case,
    truth=_samples_by_hand,
    answer=draw_samples,
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
        *slips(r"""
        not fed back: All pixels are drawn from the first activation, c, as if they were independent. What has been
            drawn has to reach the pixels that come later.
            a = a + W[:, pixel] * x[:, pixel, None] -> pass
        a threshold, not a draw: You compared p with one half. Then all your images are the same: u has to decide.
            u[:, d] < p -> p > 0.5
        in the order of the steps: The pixels are right, and stand in the order in which you drew them. The d-th drawn
            is pixel o_d.
            return x -> return x[:, ordering]
        the ordering ignored: You drew in raster order. With these weights that is another distribution.
            enumerate(ordering) -> enumerate(range(len(ordering)))
        in reverse order: You went through the ordering from its end: the first pixel to be drawn is ordering[0].
            enumerate(ordering) -> enumerate(ordering.flip(0))
        the probability fed back: The hidden units were told p, not the pixel. The later pixels have to know what
            *was* drawn.
            W[:, pixel] * x[:, pixel, None] -> W[:, pixel] * p[:, None]
        u fed back: The hidden units were told u, not the pixel. The later pixels have to know what was drawn.
            W[:, pixel] * x[:, pixel, None] -> W[:, pixel] * u[:, d, None]
        the column without the pixel: You added the columns of all pixels, also of those that are 0. Each column is
            multiplied by its pixel.
            W[:, pixel] * x[:, pixel, None] -> W[:, pixel]
        only the pixel just seen: Each pixel knows of the one before it only: the update adds to what was there.
            a = a + W -> a = c + W
        the wrong column fed back: You added column d of W. It is the column of the *pixel* that was drawn.
            W[:, pixel] * -> W[:, d] *
    """),
        Misconception(
            name="probabilities, not pixels",
            message="Your samples hold numbers between 0 and 1. A pixel is either: it has to be drawn.",
            edits=("u[:, d] < p -> p",),
            fits=_not_binary,
        ),
        *slips(r"""
        black and white swapped: Your pixels are 1 where u is above p: that happens with probability 1 - p.
            u[:, d] < p -> u[:, d] > p
        u against the logit: You compared u with the logit, which may be any number. A probability is what u has to
            lie below.
            p = torch.sigmoid(torch.sigmoid(a) @ V[pixel] + b[pixel]) -> p = torch.sigmoid(a) @ V[pixel] + b[pixel]
        u of the pixel, not of the step: u is used up step by step: its column d belongs to step d, whichever pixel
            that is.
            u[:, d] < p -> u[:, pixel] < p
        the same u for every pixel: You compared every pixel with the same column of u. Each step uses up a column of
            its own.
            u[:, d] < p -> u[:, 0] < p
        hidden sigmoid missing: Between the activation and V the sigmoid is missing.
            torch.sigmoid(a) @ V -> a @ V
        without b: A bias is missing, the one of the output.
            + b[pixel] ->
        without c: A bias is missing, the one of the hidden units.
            c.expand(len(u), len(c)) -> 0 * c.expand(len(u), len(c))
        step for pixel: You took row d of V and entry d of b. The pixel that is drawn in step d is another.
            V[pixel] + b[pixel] -> V[d] + b[d]
    """),
        Misconception(
            name="u not used",
            message="The first pixel that you draw does not follow u[:, 0]: other numbers decided, perhaps some that "
            "you drew yourself.",
            edits=("u[:, d] < p -> torch.rand(len(u)) < p",),
            fits=_unmoved_by_u,
        ),
    ),
)
