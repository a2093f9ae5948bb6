"""Real data sets of scikit-learn, and loaders for the files of the benchmarks; nothing is downloaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from nfteach.lazy import require

__all__ = ["Dataset", "breast_cancer", "digits", "load_binary", "load_folds", "wine"]


@dataclass(frozen=True)
class Dataset:
    """A data set in three disjoint parts: training, validation and test.

    Attributes:
        train, validation, test: float tensors (N, D).
        shape: the shape of one event before flattening, ``(8, 8)`` for digits, ``(D,)`` for a table.
        train_labels, validation_labels, test_labels: (N,) whole numbers if the data has classes, else None.
        names: the names of the D attributes, or ().
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    shape: tuple[int, ...]
    train_labels: Tensor | None = None
    validation_labels: Tensor | None = None
    test_labels: Tensor | None = None
    names: tuple[str, ...] = ()

    @property
    def dim(self) -> int:
        """The number D of dimensions of one event."""
        return self.train.shape[-1]

    def __repr__(self) -> str:
        parts = (len(self.train), len(self.validation), len(self.test))
        return f"Dataset(train={parts[0]}, validation={parts[1]}, test={parts[2]}, shape={self.shape})"

    def standardised(self) -> Dataset:
        """Return the data with each attribute shifted and scaled to mean 0 and deviation 1 on the training part.

        Raises:
            ValueError: if an attribute is constant on the training part.
        """
        scale, mean = torch.std_mean(self.train, dim=0, correction=0)
        if not scale.all():
            constant = (scale == 0).nonzero().flatten().tolist()
            raise ValueError(
                f"attributes must vary in the training part to be standardised, but {constant} are constant"
            )
        parts = {name: (getattr(self, name) - mean) / scale for name in ("train", "validation", "test")}
        return replace(self, **parts)


def digits(binarised: bool = True, *, threshold: float = 8.0) -> Dataset:
    """Load scans of handwritten digits, 8 x 8 pixels: 1,197 for training, 200 for validation, 400 for the test.

    The rows are shuffled with a fixed seed (``numpy.random.RandomState(0)``, whose stream is frozen), so all writers
    occur in all three parts. A pixel is the number of inked cells in a square of 4 x 4, from 0 to 16.

    Args:
        binarised: whether a pixel is 1.0 from ``threshold`` up and else 0.0, in place of 0.0, 1.0, ... 16.0.
        threshold: the smallest pixel value that becomes 1.0; by default 8, half of the square. With it, independent
            pixels score -25.3 nats per image on the test part.

    References:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
        https://doi.org/10.24432/C50P49; the copy in scikit-learn.

    Example:
        >>> digits()
        Dataset(train=1197, validation=200, test=400, shape=(8, 8))
    """
    require("nfteach.datasets.digits", "sklearn")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    if binarised:
        pixels = pixels >= threshold
    return _split(pixels, labels, (1197, 200, 400), (8, 8))


def wine() -> Dataset:
    """Load chemical analyses of 178 wines of three growers, 13 attributes, standardised: 108, 35 and 35 rows.

    The rows are shuffled with a fixed seed, as in :func:`digits`; mean and standard deviation are those of the training
    part.

    References:
        S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository (1992), https://doi.org/10.24432/C5PC7J;
        the copy in scikit-learn.

    Example:
        >>> wine()
        Dataset(train=108, validation=35, test=35, shape=(13,))
    """
    require("nfteach.datasets.wine", "sklearn")
    from sklearn.datasets import load_wine

    bunch = load_wine()
    data = _split(bunch.data, bunch.target, (108, 35, 35), (13,))
    return replace(data, names=tuple(bunch.feature_names)).standardised()


def breast_cancer() -> Dataset:
    """Load samples of 569 breast tumours, 30 measures of cell nuclei, standardised: 369, 100 and 100 rows.

    Label 0 is malignant, 1 is benign. The rows are shuffled with a fixed seed, as in :func:`digits`; mean and standard
    deviation are those of the training part.

    References:
        W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning
        Repository (1993), https://doi.org/10.24432/C5DW2B; the copy in scikit-learn.

    Example:
        >>> breast_cancer()
        Dataset(train=369, validation=100, test=100, shape=(30,))
    """
    require("nfteach.datasets.breast_cancer", "sklearn")
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    data = _split(bunch.data, bunch.target, (369, 100, 100), (30,))
    return replace(data, names=tuple(map(str, bunch.feature_names))).standardised()


def _split(rows: np.ndarray, labels: np.ndarray, sizes: tuple[int, int, int], shape: tuple[int, ...]) -> Dataset:
    """Shuffle the rows with a fixed seed, and split them into the three parts."""
    # NumPy guarantees the stream of RandomState; that of default_rng may change between versions.
    order = np.random.RandomState(0).permutation(len(rows))
    x = torch.from_numpy(rows[order]).to(torch.get_default_dtype()).split(sizes)
    y = torch.from_numpy(labels[order]).long().split(sizes)
    return Dataset(*x, shape, *y)


def load_binary(path: str | PathLike) -> Dataset:
    """Load a set of binary vectors from a file in the layout of the MADE repository's ``datasets/*.npz``.

    Args:
        path: an ``.npz`` file with the arrays ``train_data``, ``valid_data`` and ``test_data``, all (N, D) of 0 and 1.

    Raises:
        ValueError: if the file is missing, damaged, or not of this layout.

    References:
        The Neural Autoregressive Distribution Estimator (Larochelle & Murray, 2011), section 6, for the sets;
        https://github.com/mgermain/MADE for the layout.
    """
    keys = ("train_data", "valid_data", "test_data")
    stored = _stored(path)
    data = _dataset(path, stored, keys)
    for key in keys:
        other = (stored[key] != 0) & (stored[key] != 1)
        if other.any():
            row, column = np.argwhere(other)[0]
            value = stored[key][row, column]
            raise ValueError(f"path: {key} in {path} must hold only 0 and 1, but has {value} at [{row}, {column}]")
    return data


def load_folds(path: str | PathLike) -> list[Dataset]:
    """Load the folds of a cross-validation, not standardised (see :meth:`Dataset.standardised`).

    Args:
        path: an ``.npz`` file with the arrays ``fold1_train``, ``fold1_valid``, ``fold1_test``, ``fold2_train`` and so
            on, each (N, D), of real numbers.

    Raises:
        ValueError: if the file is missing, damaged, or not of this layout.

    References:
        RNADE: The real-valued neural autoregressive density-estimator (Uria, Murray & Larochelle, 2013), section 4.1,
        https://arxiv.org/abs/1306.0186
    """
    stored = _stored(path)
    count = sum(key.startswith("fold") and key.endswith("_train") for key in stored)
    if not count:
        raise ValueError(
            f"path: {path} must hold fold1_train, fold1_valid, fold1_test, ..., but holds {_listed(stored)}"
        )
    parts = ("train", "valid", "test")
    return [_dataset(path, stored, [f"fold{k}_{part}" for part in parts]) for k in range(1, count + 1)]


def _stored(path: str | PathLike) -> dict[str, np.ndarray]:
    """Read all arrays of an ``.npz`` file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except FileNotFoundError:
        raise ValueError(
            f"path: there is no file {path}; the course downloads nothing, so put it there first"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"path must be a complete .npz file of numbers, but {path} is not ({error}); try another copy"
        ) from error


def _dataset(path: str | PathLike, stored: dict[str, np.ndarray], keys: Sequence[str]) -> Dataset:
    """Return three of the arrays as a ``Dataset``; raise ``ValueError`` unless they are real, finite and (N, D)."""
    missing = [key for key in keys if key not in stored]
    if missing:
        raise ValueError(
            f"path: {path} must hold {', '.join(keys)}, but lacks {_listed(missing)}; it holds {_listed(stored)}"
        )
    arrays = [stored[key] for key in keys]
    shapes = ", ".join(f"{key} {array.shape}" for key, array in zip(keys, arrays, strict=True))
    if any(array.ndim != 2 or not array.size for array in arrays) or len({array.shape[1] for array in arrays}) > 1:
        raise ValueError(f"path: the arrays in {path} must be (N, D), with one D and N at least 1, but are {shapes}")
    for key, array in zip(keys, arrays, strict=True):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"path: {key} in {path} must hold real numbers, but holds {array.dtype}")
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(f"path: {key} in {path} must be finite, but has {array[row, column]} at [{row}, {column}]")
    tensors = [torch.from_numpy(array.astype(np.float64)).to(torch.get_default_dtype()) for array in arrays]
    return Dataset(*tensors, shape=(arrays[0].shape[1],))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:8]) or "nothing"
