"""Data sets: fixed and disjoint splits, known figures, and invalid files."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from nfteach import datasets


def parts(data):
    return data.train, data.validation, data.test


def test_the_splits_are_a_partition_of_the_rows():
    digits = datasets.digits(binarised=False)
    ours = torch.cat(parts(digits)).numpy()
    theirs = load_digits().data
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))
    assert [len(part) for part in parts(digits)] == [1197, 200, 400]
    assert [len(part) for part in parts(datasets.wine())] == [108, 35, 35]
    assert [len(part) for part in parts(datasets.breast_cancer())] == [369, 100, 100]


def test_labels_belong_to_their_images():
    digits = datasets.digits(binarised=False)
    pixels, labels = load_digits(return_X_y=True)
    known = {tuple(row): label for row, label in zip(pixels, labels, strict=True)}
    assert [known[tuple(row)] for row in digits.test.double().numpy()] == digits.test_labels.tolist()


def test_the_split_is_fixed_and_leaves_global_generators_unchanged():
    state, legacy = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = datasets.digits(), datasets.digits()
    assert all(torch.equal(x, y) for x, y in zip(parts(a), parts(b), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (legacy == np.random.get_state()[1]).all()  # noqa: NPY002
    # Another split would change every figure in the lessons.
    assert a.test_labels[:10].tolist() == [2, 7, 4, 0, 4, 2, 7, 7, 9, 1]
    assert a.train.sum().item() == 24819


def test_binarised_digits_are_ink_of_at_least_half_a_square():
    grey, binary = datasets.digits(binarised=False), datasets.digits()
    assert set(grey.train.unique().tolist()) == set(map(float, range(17)))
    assert torch.equal(binary.test, (grey.test >= 8).float())
    assert torch.equal(datasets.digits(threshold=3).test, (grey.test >= 3).float())
    assert binary.shape == (8, 8)
    assert binary.dim == 64


def test_independent_pixels_score_minus_25_nats_an_image():
    digits = datasets.digits()
    p = (digits.train.sum(0) + 1) / (
        len(digits.train) + 2
    )  # with one pseudo-count of each value, so that no probability is 0 or 1
    score = torch.distributions.Bernoulli(p).log_prob(digits.test).sum(-1).mean()
    assert score.item() == pytest.approx(-25.30, abs=0.005)


def test_wine_is_standardised_by_its_training_part_alone():
    wine = datasets.wine()
    assert wine.train.mean(0).abs().max() < 1e-5
    assert (wine.train.std(0, correction=0) - 1).abs().max() < 1e-5
    assert wine.test.mean(0).abs().max() > 0.01
    assert wine.names == tuple(load_wine().feature_names)


def test_tumours_keep_their_labels_and_names():
    tumours = datasets.breast_cancer()
    rows, labels = load_breast_cancer(return_X_y=True)
    assert tumours.names == tuple(load_breast_cancer().feature_names)
    assert tumours.train.mean(0).abs().max() < 1e-4
    assert (tumours.train.std(0, correction=0) - 1).abs().max() < 1e-4
    order = np.random.RandomState(0).permutation(569)
    raw = (rows - rows[order[:369]].mean(0)) / rows[order[:369]].std(0)
    of_parts = np.split(order, (369, 469))
    ours = (tumours.train_labels, tumours.validation_labels, tumours.test_labels)
    for x, y, chosen in zip(parts(tumours), ours, of_parts, strict=True):
        assert np.abs(x.numpy() - raw[chosen]).max() < 1e-3
        assert y.tolist() == labels[chosen].tolist()
    assert (torch.cat([tumours.train_labels, tumours.validation_labels, tumours.test_labels]) == 0).sum() == 212


def test_a_constant_attribute_cannot_be_standardised():
    x = torch.tensor([[1.0, 2.0], [1.0, 3.0]])
    with pytest.raises(ValueError, match=r"attributes must vary .* but \[0\] are constant"):
        datasets.Dataset(x, x, x, (2,)).standardised()


@pytest.fixture
def binary_file(tmp_path):
    """A function that writes a file in the layout of the binary sets, with arrays replaced or (None) omitted."""

    def write(**replaced):
        rng = np.random.default_rng(0)
        arrays = {f"{part}_data": rng.integers(0, 2, (n, 5), dtype=np.uint8) for part, n in PARTS} | replaced
        path = tmp_path / "set.npz"
        np.savez_compressed(path, **{key: array for key, array in arrays.items() if array is not None})
        return path

    return write


PARTS = (("train", 20), ("valid", 6), ("test", 8))


def test_a_binary_file_is_read_completely(binary_file):
    path = binary_file()
    data = datasets.load_binary(path)
    assert [tuple(part.shape) for part in parts(data)] == [(20, 5), (6, 5), (8, 5)]
    assert data.train.dtype == torch.float32
    assert (data.test.numpy() == np.load(path)["test_data"]).all()


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"valid_data": None}, "lacks valid_data"),
        ({"test_data": np.zeros((8, 4))}, r"must be \(N, D\), with one D.*test_data \(8, 4\)"),
        ({"test_data": np.zeros(8)}, r"must be \(N, D\)"),
        ({"test_data": np.zeros((0, 5))}, "N at least 1"),
        ({"train_data": np.eye(5) * 2}, r"train_data .* must hold only 0 and 1, but has 2.0 at \[0, 0\]"),
        ({"train_data": np.full((3, 5), np.nan)}, r"train_data .* must be finite, but has nan at \[0, 0\]"),
        ({"train_data": np.full((3, 5), "a")}, "must hold real numbers"),
        ({"train_data": np.full((3, 5), None)}, r"must be a complete \.npz file"),
    ],
    ids=["missing", "width", "vector", "empty", "not-binary", "nan", "text", "objects"],
)
def test_an_invalid_binary_file_is_rejected(binary_file, replaced, complaint):
    with pytest.raises(ValueError, match=complaint):
        datasets.load_binary(binary_file(**replaced))


@pytest.mark.parametrize("load", [datasets.load_binary, datasets.load_folds])
def test_a_missing_a_truncated_and_a_foreign_file_are_rejected(binary_file, tmp_path, load):
    with pytest.raises(ValueError, match="there is no file"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match=r"must be a complete \.npz file"):
        load(tmp_path)
    path = binary_file()
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"but .* is not .* try another copy"):
            load(path)
    damaged = bytearray(whole)
    damaged[len(whole) // 8] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"set\.npz"):
        load(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"must be a complete \.npz file"):
        load(path)
    single = tmp_path / "single.npy"
    np.save(single, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must be a complete \.npz file"):
        load(single)


def test_folds_are_returned_in_order(tmp_path):
    path = tmp_path / "folds.npz"
    rows = {part: n for part, n in PARTS}
    np.savez(path, **{f"fold{k}_{part}": np.full((n, 3), k, np.float32) for k in range(1, 12) for part, n in PARTS})
    folds = datasets.load_folds(path)
    assert [fold.train[0, 0].item() for fold in folds] == list(range(1, 12))
    assert [len(part) for part in parts(folds[0])] == list(rows.values())


def test_a_fold_without_one_of_its_parts_is_rejected(tmp_path):
    path = tmp_path / "folds.npz"
    np.savez(path, fold1_train=np.zeros((3, 2)), fold1_test=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="lacks fold1_valid"):
        datasets.load_folds(path)
    np.savez(path, something=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must hold fold1_train.*but holds something"):
        datasets.load_folds(path)


@pytest.mark.parametrize(
    ("replaced", "complaint"),
    [
        ({"fold2_test": np.zeros((8, 4))}, r"must be \(N, D\), with one D.*fold2_test \(8, 4\)"),
        ({"fold1_valid": np.zeros((2, 3, 3))}, r"must be \(N, D\).*fold1_valid \(2, 3, 3\)"),
        ({"fold2_train": np.full((5, 3), np.inf)}, r"fold2_train .* must be finite, but has inf at \[0, 0\]"),
        ({"fold1_test": np.full((5, 3), 1j)}, "fold1_test .* must hold real numbers, but holds complex128"),
    ],
    ids=["width", "cube", "infinite", "complex"],
)
def test_folds_of_an_invalid_shape_or_dtype_are_rejected(tmp_path, replaced, complaint):
    path = tmp_path / "folds.npz"
    arrays = {f"fold{k}_{part}": np.zeros((n, 3), np.float32) for k in (1, 2) for part, n in PARTS}
    np.savez(path, **arrays | replaced)
    with pytest.raises(ValueError, match=complaint):
        datasets.load_folds(path)


def test_other_arrays_in_a_file_are_ignored(binary_file):
    # The files of the MADE repository also hold sizes, as arrays without dimensions.
    data = datasets.load_binary(binary_file(inputsize=np.array(5), train_length=np.array(20)))
    assert data.dim == 5
