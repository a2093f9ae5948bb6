"""The state of the process while answers are judged: clean inside, and restored afterwards."""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["undisturbed"]

# Where an answer may have replaced a function, by hand or with a mock that was never taken away.
_PATCHED = (
    torch,
    torch.Tensor,
    torch.linalg,
    torch.special,
    torch.nn.functional,
    torch.distributions,
    math,
    np,
    random,
)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run the block in PyTorch's default state; restore the former state afterwards, whatever the block changed.

    Inside, tensors are made on the CPU in float32 by default, and gradients are recorded. Restored are the default
    dtype, modes, warning filters, the working directory, the output streams, and the functions of PyTorch and NumPy.
    Random generators are left to :func:`nfteach.jacobian.rng.seeded`.
    """
    dtype, folder, streams = torch.get_default_dtype(), _folder(), (sys.stdout, sys.stderr)
    functions = [(place, dict(vars(place))) for place in _PATCHED]
    with ExitStack() as modes:
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        modes.enter_context(torch.autograd.set_detect_anomaly(False))
        modes.enter_context(warnings.catch_warnings())
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            for place, known in functions:
                _restore(place, known)
            torch.set_default_dtype(dtype)
            sys.stdout, sys.stderr = streams
            if folder != _folder():
                os.chdir(folder)


def _folder() -> str:
    with contextlib.suppress(OSError):  # the working directory was deleted
        return os.getcwd()
    return os.sep


def _restore(place: Any, known: dict[str, Any]) -> None:
    """Put functions back that were replaced. Submodules are loaded when first used, and stay."""
    now = vars(place)
    if isinstance(place, type):  # a method that hides an inherited one
        for name in set(now) - set(known):
            delattr(place, name)
    for name, value in known.items():
        if now.get(name) is not value and callable(value) and not name.startswith("__"):
            setattr(place, name, value)
