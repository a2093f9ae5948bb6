"""NADE: probabilities of the 2^D states in any ordering, against the paper's loops."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfteach.flows import NADE, pixel_ordering
from nfteach.flows import nade as module

EXACT = {"rtol": 1e-11, "atol": 1e-11}  # sums of some hundred float64 terms

both_kinds = pytest.mark.parametrize("order_agnostic", [False, True], ids=["one order", "order agnostic"])


def wild(dim: int, hidden: int = 6, *, seed: int = 0, scale: float = 2.0, ordering=None, order_agnostic=False) -> NADE:
    """Return a float64 NADE in a shuffled ordering, with all parameters far from their initial values."""
    generator = torch.Generator().manual_seed(seed)
    if ordering is None:
        ordering = torch.randperm(dim, generator=generator)
    nade = NADE(dim, hidden, ordering, order_agnostic=order_agnostic).double()
    with torch.no_grad():
        for parameter in nade.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale)
    return nade


def states(dim: int) -> Tensor:
    """Return all binary vectors, (2^D, D)."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=dim)), dtype=torch.float64)


def bits(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randint(2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def p_value(observed: Tensor, expected: Tensor) -> float:
    """Return the p-value of the chi-square test of counts against expected counts, both (cells,), of equal sum."""
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((len(observed) - 1) / 2, dtype=torch.float64), statistic / 2))


def papers_loops(nade: NADE, x: list[float], *, direct: bool) -> tuple[list[float], list[float], int]:
    """Compute p(x_{o_d} = 1 | ...) and the log-probability terms along the ordering, and count the multiply-adds.

    In plain Python. With ``direct``, each activation is recomputed from all earlier pixels instead of updated.
    """
    W, V, b, c = (parameter.tolist() for parameter in (nade.W, nade.V, nade.b, nade.c))
    M = nade.M.tolist() if nade.M is not None else None
    ordering, units = nade.ordering.tolist(), range(nade.hidden)
    count = 0

    def add(a: list[float], k: int) -> None:
        nonlocal count
        for j in units:
            a[j] += W[j][k] * x[k]
            count += 1
            if M is not None:
                a[j] += M[j][k] * 1
                count += 1

    a, probabilities, terms = list(c), [], []
    for d, pixel in enumerate(ordering):
        if direct:
            a = list(c)
            for earlier in ordering[:d]:
                add(a, earlier)
        elif d > 0:
            add(a, ordering[d - 1])
        logit = b[pixel]
        for j in units:
            logit += V[pixel][j] / (1 + math.exp(-a[j]))
            count += 1
        p = 1 / (1 + math.exp(-logit))
        probabilities.append(p)
        terms.append(math.log(p if x[pixel] == 1 else 1 - p))
    return probabilities, terms, count


@both_kinds
@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_log_prob_conditionals_and_steps_are_the_papers_loops(dim: int, order_agnostic: bool) -> None:
    nade = wild(dim, 4, seed=dim, scale=1.0, order_agnostic=order_agnostic)
    x = bits(dim, seed=dim)
    probabilities, terms, count = papers_loops(nade, x.tolist(), direct=False)
    again, _, direct_count = papers_loops(nade, x.tolist(), direct=True)
    assert again == pytest.approx(probabilities, rel=1e-12)
    assert nade.log_prob(x).item() == pytest.approx(sum(terms), rel=1e-11)
    assert nade.conditionals(x)[nade.ordering].tolist() == pytest.approx(probabilities, rel=1e-11)
    steps = nade.steps(x)
    assert [step.position for step in steps] == list(range(dim))
    assert [step.index for step in steps] == nade.ordering.tolist()
    assert [step.value.item() for step in steps] == x[nade.ordering].tolist()
    assert [step.probability.item() for step in steps] == pytest.approx(probabilities, rel=1e-11)
    assert [step.log_prob.item() for step in steps] == pytest.approx(terms, rel=1e-9)
    running = list(itertools.accumulate(terms))
    assert [step.running_log_prob.item() for step in steps] == pytest.approx(running, rel=1e-9)
    assert (steps[-1].multiply_adds, steps[-1].multiply_adds_direct) == (count, direct_count)


def test_the_quantities_of_a_step_satisfy_the_equations() -> None:
    nade = wild(7)
    for step in nade.steps(bits(2, 3, 7)):
        assert step.a.shape == step.h.shape == (2, 3, nade.hidden)
        torch.testing.assert_close(step.h, torch.sigmoid(step.a), **EXACT)
        torch.testing.assert_close(step.logit, step.h @ nade.V[step.index] + nade.b[step.index], **EXACT)
        torch.testing.assert_close(step.probability, torch.sigmoid(step.logit), **EXACT)


def test_the_running_form_grows_with_d_and_the_direct_one_with_its_square() -> None:
    last = {dim: NADE(dim, 10).steps(torch.zeros(dim))[-1] for dim in (50, 100, 200)}
    assert all(step.multiply_adds == (2 * dim - 1) * 10 for dim, step in last.items())
    direct = [step.multiply_adds_direct for step in last.values()]
    assert all(3.8 < after / before < 4 for before, after in itertools.pairwise(direct))


@both_kinds
@given(dim=st.integers(1, 9), seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 5.0, 50.0]))
@settings(max_examples=25, deadline=None)
def test_the_probabilities_of_all_states_add_up_to_one_in_every_ordering(
    order_agnostic: bool, dim: int, seed: int, scale: float
) -> None:
    nade = wild(dim, seed=seed, scale=scale, order_agnostic=order_agnostic)
    x = states(dim)
    orderings = [torch.randperm(dim, generator=torch.Generator().manual_seed(seed + k)) for k in range(3)]
    totals = [nade.log_prob(x).exp().sum(), nade.ensemble_log_prob(x, orderings).exp().sum()]
    totals += [nade.log_prob(x, ordering=ordering).exp().sum() for ordering in orderings]
    torch.testing.assert_close(torch.stack(totals), torch.ones(5, dtype=torch.float64), **EXACT)


@both_kinds
def test_a_conditional_depends_on_the_earlier_pixels_only(order_agnostic: bool) -> None:
    nade = wild(6, order_agnostic=order_agnostic)
    x = bits(6)
    for position, pixel in enumerate(nade.ordering.tolist()):
        flipped = x.clone()
        flipped[pixel] = 1 - flipped[pixel]
        changed = nade.conditionals(flipped) != nade.conditionals(x)
        assert not changed[nade.ordering[: position + 1]].any()  # equal to the bit
        assert changed[nade.ordering[position + 1 :]].all()


def test_an_ordering_argument_equals_a_model_built_with_that_ordering() -> None:
    nade, x = wild(8), bits(20, 8)
    ordering = [3, 1, 4, 0, 5, 7, 2, 6]
    other = NADE(8, nade.hidden, ordering).double()
    other.load_state_dict({**nade.state_dict(), "ordering": other.ordering})
    torch.testing.assert_close(nade.log_prob(x, ordering=ordering), other.log_prob(x), **EXACT)
    torch.testing.assert_close(nade.conditionals(x, ordering=torch.tensor(ordering)), other.conditionals(x), **EXACT)
    torch.testing.assert_close(nade.steps(x, ordering=ordering)[-1].running_log_prob, other.log_prob(x), **EXACT)
    assert not torch.allclose(nade.log_prob(x), other.log_prob(x))


@both_kinds
def test_samples_follow_the_distribution(order_agnostic: bool) -> None:
    # The seed is fixed; a correct sampler fails for one seed in 10^6.
    nade, n = wild(5, seed=3, scale=1.0, order_agnostic=order_agnostic), 20_000
    reverse = nade.ordering.flip(0)
    for ordering in (None, reverse):
        x = nade.sample((n,), ordering=ordering, generator=torch.Generator().manual_seed(0))
        codes = (x.long() * 2 ** torch.arange(4, -1, -1)).sum(-1)
        observed = torch.bincount(codes, minlength=32).double()
        expected = n * nade.log_prob(states(5), ordering=ordering).exp().detach()
        rare = expected < 5  # merged, for the chi-square approximation
        observed = torch.cat([observed[~rare], observed[rare].sum()[None]])
        expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
        assert p_value(observed, expected) > 1e-6
        # Samples of a different model fail the test.
        assert p_value(observed, expected.roll(1)) < 1e-6


def test_sample_steps_record_the_drawing_of_a_sample() -> None:
    nade = wild(9)
    steps = nade.sample_steps((4,), generator=torch.Generator().manual_seed(5))
    x = torch.stack([step.value for step in steps], -1)[:, nade.ordering.argsort()]
    assert x.equal(nade.sample((4,), generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close(steps[-1].running_log_prob, nade.log_prob(x).detach(), **EXACT)
    assert nade.sample_steps()[0].a.shape == (nade.hidden,)
    assert not steps[-1].log_prob.requires_grad


@both_kinds
def test_the_order_agnostic_loss_is_unbiased_for_the_mean_over_orderings(order_agnostic: bool) -> None:
    dim = 4
    nade, x = wild(dim, order_agnostic=order_agnostic), bits(3, dim)
    orderings = [torch.tensor(ordering) for ordering in itertools.permutations(range(dim))]
    mean_nll = -torch.stack([nade.log_prob(x, ordering=ordering) for ordering in orderings]).mean(0)
    losses = []
    for ordering in orderings:
        for cut in range(dim):
            seen = torch.zeros(dim, dtype=torch.bool)
            seen[ordering[:cut]] = True
            losses.append(nade.hidden_loss(x, seen.expand_as(x)))
    torch.testing.assert_close(torch.stack(losses).mean(0), mean_nll, **EXACT)


def test_the_order_agnostic_loss_draws_a_uniform_cut_of_a_uniform_ordering(monkeypatch: pytest.MonkeyPatch) -> None:
    # A set of d - 1 seen pixels then has probability 1/D / binomial(D, d - 1); one seed in 10^6 fails by chance.
    dim, n = 4, 20_000
    nade, seen_sets = wild(dim), []
    monkeypatch.setattr(nade, "hidden_loss", lambda x, seen: seen_sets.append(seen))
    nade.order_agnostic_loss(bits(n, dim), torch.Generator().manual_seed(0))
    codes = (seen_sets[0].long() * 2 ** torch.arange(dim)).sum(-1)
    observed = torch.bincount(codes, minlength=2**dim).double()
    assert observed[-1] == 0  # at least one pixel is hidden
    sizes = [code.bit_count() for code in range(2**dim - 1)]
    expected = torch.tensor([n / dim / math.comb(dim, size) for size in sizes], dtype=torch.float64)
    assert p_value(observed[:-1], expected) > 1e-6


def test_an_ensemble_averages_probabilities_not_their_logarithms() -> None:
    nade, x = wild(6, scale=5.0), bits(10, 6)
    orderings = [list(range(6)), list(range(5, -1, -1)), nade.ordering]
    expected = sum(nade.log_prob(x, ordering=ordering).exp() for ordering in orderings).log() - math.log(3)
    torch.testing.assert_close(nade.ensemble_log_prob(x, orderings), expected, **EXACT)
    torch.testing.assert_close(nade.ensemble_log_prob(x, [nade.ordering]), nade.log_prob(x), **EXACT)


@both_kinds
@given(
    dim=st.integers(1, 9),
    batch=st.sampled_from([(), (0,), (1,), (5,), (2, 3)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=25, deadline=None)
def test_any_batch_shape_and_either_precision(order_agnostic: bool, dim: int, batch: tuple, dtype: torch.dtype) -> None:
    nade = wild(dim, order_agnostic=order_agnostic)
    exact = nade.log_prob(bits(*batch, dim)).detach()
    nade, x = nade.to(dtype), bits(*batch, dim, dtype=dtype)
    log_prob = nade.log_prob(x)
    assert log_prob.shape == batch
    assert log_prob.dtype == dtype
    torch.testing.assert_close(log_prob.double(), exact, rtol=1e-4, atol=1e-4)
    assert nade.conditionals(x).shape == x.shape
    assert nade.order_agnostic_loss(x).shape == batch
    assert nade.ensemble_log_prob(x, [nade.ordering]).shape == batch
    assert nade.steps(x)[-1].running_log_prob.shape == batch
    sample = nade.sample(batch)
    assert sample.shape == x.shape
    assert sample.dtype == dtype
    if x.numel():
        torch.testing.assert_close(nade.steps(x)[-1].running_log_prob, log_prob)
        alone = nade.log_prob(x.reshape(-1, dim)[-1])
        torch.testing.assert_close(alone, log_prob.reshape(-1)[-1])  # rows are independent


def test_saturated_conditionals_stay_finite() -> None:
    nade = wild(5, scale=1e4).float()
    x = bits(32, 5, dtype=torch.float32)
    log_prob = nade.log_prob(x)
    assert log_prob.isfinite().all()
    log_prob.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in nade.parameters())


@both_kinds
@pytest.mark.parametrize("blocks", [1, 2, 7], ids=lambda blocks: f"parts of {blocks}")
def test_values_and_gradients_do_not_depend_on_the_number_of_parts(
    blocks: int, order_agnostic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    nade, x = wild(70, 5, scale=0.3, order_agnostic=order_agnostic), bits(3, 70)  # 4 blocks of 16, and 6 steps
    monkeypatch.setattr(module, "LARGEST", blocks * module.BLOCK * 3 * 5)
    together = nade.log_prob(x)
    one_by_one = nade.steps(x)[-1].running_log_prob
    torch.testing.assert_close(together, one_by_one, **EXACT)
    parameters = list(nade.parameters())
    for ours, plain in zip(
        torch.autograd.grad(together.sum(), parameters), torch.autograd.grad(one_by_one.sum(), parameters), strict=True
    ):
        torch.testing.assert_close(ours, plain, **EXACT)


def test_hundreds_of_dimensions() -> None:
    nade, x = wild(300, 40, scale=0.3), bits(7, 300)
    torch.testing.assert_close(nade.log_prob(x), nade.steps(x)[-1].running_log_prob, rtol=1e-10, atol=1e-10)
    assert nade.sample((2,)).shape == (2, 300)


@both_kinds
def test_gradients_are_those_of_finite_differences(order_agnostic: bool) -> None:
    nade, x = wild(4, 3, scale=1.0, order_agnostic=order_agnostic), bits(3, 4)
    seen = torch.tensor([True, False, False, True]).expand_as(x)
    names = [name for name, _ in nade.named_parameters()]

    def value(*parameters: Tensor) -> Tensor:
        model = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(nade, model, ())

    # functional_call runs forward, which a NADE lacks; this one computes both losses.
    nade.forward = lambda: torch.cat([nade.log_prob(x), nade.hidden_loss(x, seen)])
    assert torch.autograd.gradcheck(value, tuple(p.detach().requires_grad_() for p in nade.parameters()))


@both_kinds
def test_copies_pickles_and_state_dicts_are_the_same_model(order_agnostic: bool) -> None:
    nade, x = wild(6, order_agnostic=order_agnostic), bits(4, 6)
    file = io.BytesIO()
    torch.save(nade.state_dict(), file)
    file.seek(0)
    loaded = NADE(6, nade.hidden, order_agnostic=order_agnostic).double()
    loaded.load_state_dict(torch.load(file))
    for other in (copy.deepcopy(nade), pickle.loads(pickle.dumps(nade)), loaded):
        assert other.log_prob(x).equal(nade.log_prob(x))
        assert other.ordering.equal(nade.ordering)


def test_maximum_likelihood_finds_dependence_between_pixels() -> None:
    # Three fair bits and the exclusive or of two of them: log p is -3 log 2, and -4 log 2 for independent pixels.
    first, second, noise = states(3).float().unbind(-1)
    x = torch.stack([first, noise, second, (first != second).float()], -1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nade = NADE(4, 16)
    optimiser = torch.optim.Adam(nade.parameters(), lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        (-nade.log_prob(x).mean()).backward()
        optimiser.step()
    assert nade.log_prob(x).mean().item() == pytest.approx(-3 * math.log(2), abs=0.02)
    assert nade.log_prob(x).exp().sum().item() > 0.98


@pytest.mark.parametrize(
    ("given_x", "words"),
    [
        (torch.tensor([0.0, 0.5, 1.0]), "x must be binary, but holds 0.5"),
        (torch.tensor([0.0, float("nan"), 1.0]), "x must be binary, but holds nan"),
        (torch.tensor([0.0, 1.0]), "x must have the shape"),
        (torch.tensor(1.0), "x must have the shape"),
        (torch.tensor([0, 1, 1]), "x must be real floating point, but is torch.int64"),
        (torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64), "x is torch.float64"),
        ([0.0, 1.0, 1.0], "x must be a tensor, but is a list"),
    ],
)
def test_invalid_input_is_rejected(given_x: object, words: str) -> None:
    nade = NADE(3, 2)
    for method in (nade.log_prob, nade.conditionals, nade.steps, nade.order_agnostic_loss):
        with pytest.raises(ValueError, match=words):
            method(given_x)


@pytest.mark.parametrize("ordering", [[0, 0, 1], [0, 1], [1, 2, 3], [0.0, 1.0, 2.0], ["a", "b", "c"], [[0, 1, 2]], 3])
def test_an_ordering_must_be_a_permutation(ordering: object) -> None:
    with pytest.raises(ValueError, match="ordering must"):
        NADE(3, 2, ordering)
    with pytest.raises(ValueError, match="ordering must"):
        NADE(3, 2).log_prob(torch.zeros(3), ordering=ordering)


def test_other_invalid_arguments_are_rejected() -> None:
    with pytest.raises(ValueError, match="dim must be"):
        NADE(0, 2)
    with pytest.raises(ValueError, match="hidden must be"):
        NADE(3, 2.5)
    with pytest.raises(ValueError, match="orderings must"):
        NADE(3, 2).ensemble_log_prob(torch.zeros(3), [])
    for seen in (torch.tensor([True, True, True]), torch.tensor([1.0, 0.0, 0.0])):
        with pytest.raises(ValueError, match="seen must be"):
            NADE(3, 2).hidden_loss(torch.zeros(3), seen)
    with pytest.raises(ValueError, match="name must be"):
        pixel_ordering("snake", 3, 3)
    with pytest.raises(ValueError, match="height and width"):
        pixel_ordering("raster", 0, 3)


@given(height=st.integers(1, 7), width=st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_pixel_orderings_visit_every_pixel_once(height: int, width: int) -> None:
    for name in ("raster", "reverse", "spiral", "random"):
        ordering = pixel_ordering(name, height, width, torch.Generator().manual_seed(1))
        assert ordering.sort().values.equal(torch.arange(height * width))
    spiral = pixel_ordering("spiral", height, width)
    rows, columns = spiral // width, spiral % width
    assert ((rows.diff().abs() + columns.diff().abs()) == 1).all()  # each pixel is a neighbour of the previous one


def test_pixel_orderings_by_hand() -> None:
    assert pixel_ordering("raster", 2, 3).tolist() == [0, 1, 2, 3, 4, 5]
    assert pixel_ordering("reverse", 2, 3).tolist() == [5, 4, 3, 2, 1, 0]
    assert pixel_ordering("spiral", 3, 4).tolist() == [0, 1, 2, 3, 7, 11, 10, 9, 8, 4, 5, 6]
    seeded = [pixel_ordering("random", 4, 4, torch.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]
