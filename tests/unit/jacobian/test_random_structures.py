"""Random matrices of each structure, permuted, scaled and rounded, are named as what they were made to be."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nfteach.jacobian import inspect_jacobian, recognise
from tests.unit.jacobian.plain_structures import COSTS, NARROWER, holds, name_by_trying_everything, rank_is_at_most
from tests.unit.jacobian.random_matrices import MADE, make

pytestmark = pytest.mark.slow

CONDITIONS = st.floats(0, 6).map(lambda power: 10.0**power)
SCALES = st.floats(-4, 4).map(lambda power: 10.0**power)
SEEDS = st.integers(0, 2**32)
TRIANGULAR = ("lower triangular", "upper triangular", "triangular up to a permutation")


@st.composite
def cases(draw, name, *, single=False, dims=(*range(1, 13), 24, 64), conditions=CONDITIONS, scales=SCALES):
    return make(
        name,
        max(MADE[name], draw(st.sampled_from(dims))),
        seed=draw(SEEDS),
        points=draw(st.sampled_from([1, 2, 5])),
        condition=draw(conditions),
        scale=draw(scales),
        inner=draw(scales),
        shuffle=draw(st.sampled_from(["none", "same", "apart"])),
        single=single,
    )


def check(case):
    found = recognise(case.J, eps=case.eps)
    J, dim, rows, columns = case.J, case.J.shape[-1], found.row_ordering, found.ordering
    assert (found.dim, found.points) == (dim, len(J))
    assert sorted(rows) == sorted(columns) == list(range(dim))
    # The ordering, and nothing but a plain test, shows the structure that was named.
    assert holds(found.name, J, case.eps, rows, columns)
    if found.name != case.name:
        assert NARROWER.index(found.name) < NARROWER.index(case.name)
    # Where J was filled with nothing it is zero; what is called zero besides is lost in rounding.
    assert found.zero[~case.filled].all()
    beside = (J.abs().amax(2, keepdim=True) * J.abs().amax(1, keepdim=True)).sqrt()
    assert (J.abs() <= (1e-11 if case.eps < 1e-12 else 1e-5) * beside)[:, found.zero].all()
    # Its determinant is LU's, as far as rounding lets either be known: det J moves by the share eps * condition.
    share = (10 * case.eps * dim**0.5 * torch.linalg.cond(J)).clamp(max=1)
    by_lu = torch.linalg.slogdet(J).logabsdet
    assert ((found.log_det - by_lu).abs() <= -torch.log1p(-share) + 1e-14 * by_lu.abs()).all()
    assert sorted(j for block in found.blocks for j in block) == list(range(dim))
    if found.name == "block diagonal":
        assert found.cost == f"O(Σ n³), block sizes n up to {max(map(len, found.blocks))}"
    else:
        assert found.cost == COSTS[found.name]
    if found.name != case.name:
        return
    if case.blocks:
        assert set(map(frozenset, found.blocks)) == set(map(frozenset, case.blocks))
    if case.kept:
        assert set(found.blocks[0]) == set(case.kept)
    if case.rank is not None:
        assert found.rank == case.rank or (case.eps > 1e-12 and rank_is_at_most(found.rank, J, case.eps))


@pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
@pytest.mark.parametrize("name", MADE)
def test_each_structure_is_named(name, single):
    @given(cases(name, single=single))
    @settings(max_examples=60)
    def run(case):
        check(case)

    run()


@pytest.mark.parametrize("name", ["diagonal", *TRIANGULAR, "block diagonal", "dense"])
def test_a_point_is_judged_by_its_own_size(name):
    """An entry of a point where J is small is an entry beside another point where J is large."""

    @given(cases(name, dims=(3, 4, 7)), SEEDS)
    @settings(max_examples=30)
    def run(case, seed):
        powers = 8 * torch.rand(len(case.J), 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        J = case.J.clone()
        J[0] = J[0].tril() if name == "dense" else J[0]  # what it lacks, the small ones have
        check(replace(case, J=J * 10 ** (powers - 4) if len(J) > 1 else case.J))

    run()


# Found by tens of thousands of random cases: an entry or a singular value of these is small as rounding is in float32,
# and the determinant is another without it, or there is no order or matching without it.
CORNERS = {
    "dense, not of rank 5": ("dense", 6, 3680553805, 5, 8e4, 8e3, 1.0, "same"),
    "dense, not of rank one": ("dense", 2, 2832493339, 5, 5e5, 3e3, 1.0, "none"),
    "blocks, not of rank 11": ("block diagonal", 12, 3633374098, 1, 7e4, 9e3, 1.0, "apart"),
    "rank r, not the identity": ("identity plus rank r", 3, 2149952419, 5, 1.0, 0.013, 3.6e-4, "same"),
    "rank r, not a rank less": ("identity plus rank r", 12, 1290972067, 1, 1.0, 0.28, 1.5e-4, "none"),
    "rank r, not a coupling": ("identity plus rank r", 8, 69686140, 1, 1.0, 2.3e-4, 0.029, "none"),
    "rank r, not orthogonal": ("identity plus rank r", 5, 81363907, 5, 1.0, 0.066, 2.2e-4, "same"),
    "a coupling of large s and small t": ("coupling", 3, 4245342642, 1, 1.2e5, 1.3e3, 9.3e-4, "apart"),
    "a coupling of small s and large t": ("coupling", 11, 4254567075, 1, 4e5, 3.2e-4, 304.0, "apart"),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_a_small_entry_that_counts_is_not_taken_for_rounding(corner):
    name, dim, seed, points, condition, scale, inner, shuffle = CORNERS[corner]
    sizes = {"points": points, "condition": condition, "scale": scale, "inner": inner}
    check(make(name, dim, seed=seed, shuffle=shuffle, single=True, **sizes))


@pytest.mark.parametrize("name", MADE)
def test_zeros_that_are_filled_with_rounding_are_zeros(name):
    """Each of these structures is one of the inverse too; turned about and back, J has no exact zero left."""
    conditions, scales = (st.floats(low, high).map(lambda power: 10.0**power) for low, high in ((0, 3), (-1, 1)))

    @given(cases(name, dims=range(2, 13), conditions=conditions, scales=scales))
    @settings(max_examples=30)
    def run(case):
        J, dim = case.J, case.J.shape[-1]
        turn = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(dim)).double()).Q
        names = {recognise(like_J).name for like_J in (J, torch.linalg.inv(J), turn.T @ (turn @ J))}
        assert len(names) == 1 or names <= set(TRIANGULAR)

    run()


@pytest.mark.parametrize("name", [name for name in MADE if name != "dense"])
def test_what_is_nearly_a_structure_is_not_it(name):
    """One entry of relative size 1e-6 where it should be zero, at one point only; or as much of another rank."""

    @given(cases(name, dims=range(2, 13)), SEEDS)
    @settings(max_examples=30)
    def run(case, seed):
        whole, spoilt = recognise(case.J), recognise(spoil(case, seed))
        assert (spoilt.name, spoilt.rank, set(map(frozenset, spoilt.blocks))) != (
            whole.name,
            whole.rank,
            set(map(frozenset, whole.blocks)),
        )
        assert spoilt.name != name or name in ("coupling", "identity plus rank r", "block diagonal")

    run()


def spoil(case, seed):
    """J of ``case`` with a small thing at one of its points that its structure forbids."""
    g = torch.Generator().manual_seed(seed)
    J, dim = case.J.clone(), case.J.shape[-1]
    at = J[int(torch.randint(len(J), (), generator=g))]
    if case.rank:
        u, v = torch.randn(2, dim, generator=g, dtype=torch.float64)
        size = (at - torch.eye(dim)).norm().clamp(min=1)
        at += 1e-5 * size * torch.outer(u, v) / (u.norm() * v.norm())
        return J
    free = ~case.filled | (case.name == "orthogonal")
    if case.name == "coupling":  # what enters the changed rows is theirs
        kept_rows = (case.J == 1).any(0)[:, list(case.kept)].any(1) & (case.filled.sum(1) == 1)
        free &= kept_rows[:, None]
    places = free.nonzero()
    i, j = places[int(torch.randint(len(places), (), generator=g))].tolist()
    at[i, j] += 1e-6 * (at[i].abs().max() * at[:, j].abs().max()).sqrt()
    return J


@given(st.integers(2, 5), SEEDS, st.floats(0.1, 0.9), st.floats(0, 0.7), st.sampled_from([1, 3]))
@settings(max_examples=400)
def test_sparse_matrices_have_the_name_that_trying_everything_finds(dim, seed, density, passed_through, points):
    g = torch.Generator().manual_seed(seed)
    filled = (torch.rand(dim, dim, generator=g) < density) | torch.eye(dim, dtype=torch.bool)
    J = (1.5 + torch.rand(points, dim, dim, generator=g, dtype=torch.float64)) * filled
    for i in range(dim):
        if torch.rand((), generator=g) < passed_through:
            J[:, i] = torch.eye(dim)[i]
    J = J[:, torch.randperm(dim, generator=g)][:, :, torch.randperm(dim, generator=g)]
    assert recognise(J).name == name_by_trying_everything(J)


def by_hinges(x, weights, base):
    """x -> base(x) + weights @ relu(x - c), where each hinge is open at a single one of the points x."""
    two = x.topk(2, dim=0).values
    corners = two.mean(0)
    return lambda x: base(x) + (x - corners).relu() @ weights.T


@pytest.mark.parametrize(
    ("shape", "closed", "name"),
    [
        ("full", "diagonal", "dense"),
        ("first three to the rest", "diagonal", "coupling"),
        ("lower", "diagonal", "lower triangular"),
        ("upper", "lower triangular", "dense"),
        ("from the first half to the other", "block diagonal", "dense"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_dead_units_make_no_structure(shape, closed, name, seed):
    """Each entry through a ReLU is zero at all points but one."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 6, generator=g, dtype=torch.float64)
    weights = 1 + torch.rand(6, 6, generator=g, dtype=torch.float64)
    half = torch.arange(6) < 3
    across = ~half[:, None] & half
    weights *= {"full": 1 - torch.eye(6), "lower": torch.ones(6, 6).tril(-1), "upper": torch.ones(6, 6).triu(1)}.get(
        shape, across
    )
    slopes = torch.tensor([1.0, 1.0, 1.0, 2.0, 3.0, 4.0]) if name == "coupling" else torch.arange(2.0, 8.0)
    inside = {"lower triangular": torch.ones(6, 6).tril(-1), "block diagonal": 1.0 * (half[:, None] == half)}
    matrix = slopes.double().diag() + inside.get(closed, torch.zeros(6, 6)).double() * (1 - torch.eye(6))
    f = by_hinges(x, weights, lambda x: x @ matrix.T)
    report = inspect_jacobian(f, x)
    through = report.jacobian[:, weights != 0] != matrix[weights != 0]
    assert through.any(0).all()
    assert through.double().mean() < 0.1
    assert report.structure.name == name
    assert not report.structure.zero[weights != 0].any()
    shut = x.clamp(max=x.topk(2, dim=0).values[1])  # every hinge closed
    assert recognise(torch.func.vmap(torch.func.jacrev(f))(shut)).name == closed
