"""Random matrices of each structure are named as what they were made to be; the short cuts give the determinant."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nfteach.jacobian import NAMES, inspect_jacobian, recognise
from nfteach.jacobian.pattern import block_triangular_form, components, matching, topological_order

POINTS = 4


def generator(seed):
    return torch.Generator().manual_seed(seed)


def full(n, m, g):
    """Entries that are never near 0 or 1, with both signs."""
    size = 0.2 + 0.6 * torch.rand(POINTS, n, m, generator=g, dtype=torch.float64)
    sign = torch.randint(0, 2, (POINTS, n, m), generator=g) * 2.0 - 1
    return size * sign


def make(name, dim, g):
    """J (POINTS, dim, dim) of the named structure, in natural order."""
    J, eye = full(dim, dim, g), torch.eye(dim, dtype=torch.float64)
    if name == "identity":
        return eye.expand(POINTS, dim, dim).clone()
    if name == "diagonal":
        return J * eye
    if name == "lower triangular":
        return J.tril()
    if name == "upper triangular":
        return J.triu()
    if name == "coupling":
        kept = dim // 2
        J = J.tril() * eye
        J[:, :kept] = eye[:kept]
        J[:, kept:, :kept] = full(dim - kept, kept, g)
        return J
    if name == "identity plus rank one":
        return eye + full(dim, 1, g) @ full(1, dim, g)
    if name == "identity plus rank r":
        return eye + full(dim, 2, g) @ full(2, dim, g)
    if name == "orthogonal":
        return torch.linalg.qr(torch.randn(POINTS, dim, dim, generator=g, dtype=torch.float64)).Q
    if name == "block diagonal":
        half = dim // 2
        J[:, :half, half:] = J[:, half:, :half] = 0
        return J
    return J


def numpy_log_det(J):
    return np.linalg.slogdet(J.numpy())[1]


CASES = [name for name in NAMES if name not in {"permutation", "triangular up to a permutation"}]


@pytest.mark.parametrize("dim", [5, 8, 13])
@pytest.mark.parametrize("name", CASES)
def test_each_structure_is_named(name, dim):
    J = make(name, dim, generator(dim))
    found = recognise(J)
    assert found.name == name
    np.testing.assert_allclose(found.log_det.numpy(), numpy_log_det(J), rtol=1e-9, atol=1e-9)


def test_every_name_is_reached_by_these_tests():
    assert set(CASES) | {"permutation", "triangular up to a permutation"} == set(NAMES)


@given(
    name=st.sampled_from(
        ["lower triangular", "coupling", "diagonal", "block diagonal", "identity plus rank one", "dense"]
    ),
    dim=st.integers(4, 9),
    seed=st.integers(0, 10_000),
    row_scale=st.sampled_from([1e-4, 1e-2, 1.0, 1e4]),
)
@settings(max_examples=60, deadline=None)
def test_renaming_the_dimensions_hides_nothing(name, dim, seed, row_scale):
    g = generator(seed)
    J = make(name, dim, g)
    order = torch.randperm(dim, generator=g)
    J = J[:, order][:, :, order]
    if name not in {"coupling", "identity plus rank one"}:  # these are about ones, which scaling takes away
        J = J * torch.logspace(0, float(np.log10(row_scale)), dim, dtype=torch.float64)[:, None]
    found = recognise(J)
    same = {"lower triangular": {"lower triangular", "upper triangular", "triangular up to a permutation"}}
    assert found.name in same.get(name, {name})
    np.testing.assert_allclose(found.log_det.numpy(), numpy_log_det(J), rtol=1e-8, atol=1e-8)


@given(dim=st.integers(3, 9), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_rows_and_columns_of_a_triangle_may_be_permuted_apart(dim, seed):
    g = generator(seed)
    J = make("lower triangular", dim, g)
    rows, columns = torch.randperm(dim, generator=g), torch.randperm(dim, generator=g)
    J = J[:, rows][:, :, columns]
    found = recognise(J)
    assert "triangular" in found.name
    ordered = J[:, torch.tensor(found.row_ordering)][:, :, torch.tensor(found.ordering)]
    if found.name != "upper triangular":
        assert ordered.triu(1).abs().max() == 0
    np.testing.assert_allclose(found.log_det.numpy(), numpy_log_det(J), rtol=1e-9, atol=1e-9)


def test_the_ordering_of_a_triangle_is_the_one_it_was_made_with():
    order = [3, 0, 4, 1, 2]
    J = make("lower triangular", 5, generator(0))
    shuffled = torch.empty_like(J)
    for i, j in itertools.product(range(5), repeat=2):
        shuffled[:, order[i], order[j]] = J[:, i, j]
    found = recognise(shuffled)
    assert found.name == "triangular up to a permutation"
    assert list(found.ordering) == order == list(found.row_ordering)


@pytest.mark.parametrize("order", [[1, 0], [2, 0, 1], [4, 2, 0, 1, 3]])
def test_a_permutation_gives_its_order_back(order):
    J = torch.eye(len(order), dtype=torch.float64)[order].expand(POINTS, -1, -1)
    found = recognise(J)
    assert (found.name, list(found.ordering), found.cost) == ("permutation", order, "O(1)")
    assert found.log_det.abs().max() == 0


def test_a_coupling_tells_what_is_kept_and_what_is_changed():
    J = make("coupling", 6, generator(1))
    order = torch.tensor([0, 3, 1, 4, 2, 5])  # kept 0, 1, 2 stand at 0, 2, 4
    found = recognise(J[:, order][:, :, order])
    assert found.blocks == ((0, 2, 4), (1, 3, 5))


def test_an_accidental_zero_is_filled_by_another_point():
    J = make("dense", 4, generator(2))
    J[0] = J[0].tril()
    assert recognise(J).name == "dense"
    assert recognise(J[:1]).name == "lower triangular"


@pytest.mark.parametrize("small", [1e-4, 1e-8])
def test_a_small_entry_is_still_an_entry(small):
    J = make("lower triangular", 5, generator(3))
    J[:, 1, 3] = small
    assert recognise(J).name != "lower triangular"


def test_rounding_is_no_entry():
    g = generator(4)
    J = make("lower triangular", 6, g)
    noisy = J + 1e-16 * torch.randn(J.shape, generator=g, dtype=torch.float64)
    assert recognise(noisy).name == "lower triangular"


def test_the_tolerance_follows_the_precision():
    g = generator(5)
    noisy = make("diagonal", 6, g) + 1e-8 * torch.randn(POINTS, 6, 6, generator=g, dtype=torch.float64)
    assert recognise(noisy).name == "dense"
    assert recognise(noisy, eps=torch.finfo(torch.float32).eps).name == "diagonal"


def test_one_circle_of_dependence_makes_a_triangle_dense():
    J = make("lower triangular", 6, generator(6))
    J[:, 1, 2] = 0.5  # 1 and 2 now need each other
    found = recognise(J)
    assert found.name == "dense"
    assert [len(block) for block in found.blocks] == [1, 2, 1, 1, 1]


def test_a_single_kept_dimension_does_not_make_a_triangle_a_coupling():
    J = make("lower triangular", 5, generator(7))
    J.diagonal(dim1=1, dim2=2).fill_(1.0)
    assert recognise(J).name == "lower triangular"


def test_a_matrix_with_too_few_inputs_is_singular():
    J = make("dense", 4, generator(8))
    J[:, :3, 2:] = 0  # three outputs share two inputs
    found = recognise(J)
    assert found.name == "dense"
    assert (found.log_det < -30).all()


@given(seed=st.integers(0, 100_000), n=st.integers(1, 6), density=st.floats(0.1, 0.9))
@settings(max_examples=150, deadline=None)
def test_graph_algorithms_against_trying_everything(seed, n, density):
    pattern = torch.rand(n, n, generator=generator(seed)) < density
    # A perfect matching exists exactly if some permutation hits only True entries.
    exists = any(all(pattern[i, p[i]] for i in range(n)) for p in itertools.permutations(range(n)))
    columns = matching(pattern)
    assert (columns is not None) == exists
    if columns is not None:
        assert sorted(columns) == list(range(n))
        assert all(pattern[i, j] for i, j in enumerate(columns))
    # Groups: everything that a group depends on stands before it, and it cannot be split.
    groups = block_triangular_form(pattern)
    position = {i: k for k, group in enumerate(groups) for i in group}
    assert sorted(position) == list(range(n))
    assert all(position[j] <= position[i] for i, j in pattern.nonzero().tolist())
    acyclic = any(
        all(p.index(j) <= p.index(i) for i, j in pattern.nonzero().tolist()) for p in itertools.permutations(range(n))
    )
    assert (len(groups) == n) == acyclic
    order = topological_order(pattern)
    if acyclic:
        assert order is not None
    if order is not None:
        rows, cols = order
        assert not pattern[torch.tensor(rows)][:, torch.tensor(cols)].triu(1).any()
    for rows, cols in components(pattern):
        outside = [j for j in range(n) if j not in cols]
        assert not pattern[torch.tensor(rows, dtype=torch.long)][:, torch.tensor(outside, dtype=torch.long)].any()


@pytest.mark.parametrize(
    ("value", "name", "log_det"),
    [(1, "identity", 0), (-1, "diagonal", 0), (1e-4, "diagonal", np.log(1e-4)), (0, "diagonal", -np.inf)],
)
def test_one_dimension(value, name, log_det):
    found = recognise(torch.full((3, 1, 1), value, dtype=torch.float64))
    assert (found.name, found.ordering, found.row_ordering, found.blocks) == (name, (0,), (0,), ((0,),))
    assert found.rank == (value != 1)
    np.testing.assert_allclose(found.log_det, log_det, rtol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_precision(dtype):
    J = make("coupling", 6, generator(9)).to(dtype).requires_grad_()
    found = recognise(J)
    assert (found.name, found.log_det.dtype, found.log_det.requires_grad) == ("coupling", torch.float64, False)


@pytest.mark.parametrize(
    "bad", [torch.full((2, 3, 3), torch.nan), torch.full((2, 3, 3), torch.inf), torch.ones(2, 3, 3).int()]
)
def test_what_is_no_finite_real_number_is_named(bad):
    with pytest.raises(ValueError, match="J must hold finite real numbers"):
        recognise(bad)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (0, 2, 2), (2, 0, 0)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(ValueError, match="J must have the shape"):
        recognise(torch.zeros(shape))


def test_an_orthogonal_matrix_kept_in_float32_is_orthogonal_to_that_precision():
    Q = torch.linalg.qr(torch.randn(5, 5, generator=generator(3), dtype=torch.float64)).Q.float()
    assert recognise(Q.double()[None]).name == "dense"
    kept = recognise(Q.double()[None], stored=torch.finfo(torch.float32).eps)
    assert kept.name == "orthogonal"
    assert "stored" in kept.how
    off = Q.double() + 1e-3 * torch.eye(5)
    assert recognise(off[None], stored=torch.finfo(torch.float32).eps).name == "dense"

    linear = torch.nn.Linear(5, 5, bias=False)
    linear.weight.data = Q
    report = inspect_jacobian(linear, torch.randn(4, 5, generator=generator(4)))
    assert report.structure.name == "orthogonal"
    assert report.structure.log_det.abs().max() == 0
