"""Real data that comes with scikit-learn, and loaders for the benchmarks' files; nothing is downloaded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
import torch
from torch import Tensor

__all__ = ["Dataset", "breast_cancer", "digits", "load_binary", "load_folds", "wine"]


@dataclass(frozen=True)
class Dataset:
    """Data in three parts that share no row.

    Attributes:
        train, validation, test: float tensors (N, D).
        shape: of one event before it was flattened: ``(8, 8)`` for digits, ``(D,)`` for a table.
        train_labels, validation_labels, test_labels: (N,) whole numbers, where the data has classes, else None.
        names: the D attributes' names, where they have any.
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
        """D, the number of dimensions of one event."""
        return self.train.shape[-1]

    def __repr__(self) -> str:
        parts = (len(self.train), len(self.validation), len(self.test))
        return f"Dataset(train={parts[0]}, validation={parts[1]}, test={parts[2]}, shape={self.shape})"

    def standardised(self) -> Dataset:
        """The same data, each attribute shifted and scaled to mean 0 and standard deviation 1 on the training part.

        Raises:
            ValueError: if an attribute is constant on the training part.
        """
        scale, mean = torch.std_mean(self.train, dim=0, correction=0)
        if not scale.all():
            constant = (scale == 0).nonzero().flatten().tolist()
            raise ValueError(f"attributes {constant} are constant in the training part and cannot be standardised")
        parts = {name: (getattr(self, name) - mean) / scale for name in ("train", "validation", "test")}
        return replace(self, **parts)


def digits(binarised: bool = True, *, threshold: float = 8.0) -> Dataset:
    """Scans of handwritten digits, 8 x 8 pixels: 1,197 for training, 200 for validation, 400 for the test.

    The rows are shuffled once, always the same way (``numpy.random.RandomState(0)``, whose stream NumPy has frozen), so
    the three parts hold the same writers. A pixel counts the inked cells of a square of 4 x 4, so it is 0 to 16.

    Args:
        binarised: 1.0 where a pixel is at least ``threshold``, else 0.0; otherwise pixels 0.0, 1.0, ... 16.0.
        threshold: by default 8, half of the square inked. Independent pixels then score
            -25.3 nats an image on the test part.

    References:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
        https://doi.org/10.24432/C50P49; the copy in scikit-learn.

    Example:
        >>> digits()
        Dataset(train=1197, validation=200, test=400, shape=(8, 8))
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    if binarised:
        pixels = pixels >= threshold
    return _split(pixels, labels, (1197, 200, 400), (8, 8))


def wine() -> Dataset:
    """Chemical analyses of 178 wines of three growers, 13 attributes, standardised: 108, 35 and 35 rows.

    The rows are shuffled once, always the same way, as in :func:`digits`; mean and standard deviation are those of the
    training part.

    References:
        S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository (1992), https://doi.org/10.24432/C5PC7J;
        the copy in scikit-learn.

    Example:
        >>> wine()
        Dataset(train=108, validation=35, test=35, shape=(13,))
    """
    from sklearn.datasets import load_wine

    bunch = load_wine()
    data = _split(bunch.data, bunch.target, (108, 35, 35), (13,))
    return replace(data, names=tuple(bunch.feature_names)).standardised()


def breast_cancer() -> Dataset:
    """Fine-needle samples of 569 breast tumours, 30 measures of their cell nuclei, standardised: 369, 100 and 100 rows.

    Label 0 is malignant, 1 is benign. The rows are shuffled once, always the same way, as in :func:`digits`; mean and
    standard deviation are those of the training part.

    References:
        W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning
        Repository (1993), https://doi.org/10.24432/C5DW2B; the copy in scikit-learn.

    Example:
        >>> breast_cancer()
        Dataset(train=369, validation=100, test=100, shape=(30,))
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    data = _split(bunch.data, bunch.target, (369, 100, 100), (30,))
    return replace(data, names=tuple(map(str, bunch.feature_names))).standardised()


def _split(rows: np.ndarray, labels: np.ndarray, sizes: tuple[int, int, int], shape: tuple[int, ...]) -> Dataset:
    """Shuffle the rows, always the same way, and cut them into the three parts."""
    # NumPy promises RandomState's stream for good; default_rng's may change from one version to the next.
    order = np.random.RandomState(0).permutation(len(rows))
    x = torch.from_numpy(rows[order]).to(torch.get_default_dtype()).split(sizes)
    y = torch.from_numpy(labels[order]).long().split(sizes)
    return Dataset(*x, shape, *y)


def load_binary(path: str | PathLike) -> Dataset:
    """A set of binary vectors, from a file in the layout of the MADE repository's ``datasets/*.npz``.

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
    """The folds of a cross-validation, not standardised (see :meth:`Dataset.standardised`).

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
    """All arrays of an ``.npz`` file, read to the end."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except FileNotFoundError:
        raise ValueError(
            f"path: there is no file {path}; the course downloads nothing, so put it there first"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"path: {path} is no whole .npz file of numbers ({error}); is the copy complete?") from error


def _dataset(path: str | PathLike, stored: dict[str, np.ndarray], keys: Sequence[str]) -> Dataset:
    """Three of the arrays as a ``Dataset``, checked: real, finite, not empty, and of one width."""
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
            raise ValueError(f"path: {key} in {path} has {array[row, column]} at [{row}, {column}]; all must be finite")
    tensors = [torch.from_numpy(array.astype(np.float64)).to(torch.get_default_dtype()) for array in arrays]
    return Dataset(*tensors, shape=(arrays[0].shape[1],))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:8]) or "nothing"
