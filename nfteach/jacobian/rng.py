"""Fixed seeds and modes of torch, which leave the global generators and the caller's modes as they were."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch._tensor_str import PRINT_OPTS

__all__ = ["modes_at_rest", "seeded"]

_SPARES: list[np.random.MT19937] = []  # those in use are not here, so that blocks may be nested
_CALLERS_DEVICE: ContextVar[torch.device | None] = ContextVar("the caller's default device", default=None)
_STATES_KEPT: ContextVar[bool] = ContextVar("a block outside restores the generators", default=False)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's, NumPy's and Python's global generators inside the block; restore their states after it.

    Inside of :func:`modes_at_rest` that block restores them, once for all.
    """
    if _STATES_KEPT.get():
        with _CALLERS_DEVICE.get() or nullcontext():
            _seed(seed)
            yield
        return
    of_python = random.getstate()
    # NumPy is lent another generator and keeps its own as it is: thirty times faster than to copy its state.
    of_numpy = np.random.get_bit_generator()
    spare = _SPARES.pop() if _SPARES else np.random.MT19937()
    np.random.set_bit_generator(spare)
    with torch.random.fork_rng(devices=_devices()), _CALLERS_DEVICE.get() or nullcontext():
        try:
            _seed(seed)
            yield
        finally:
            np.random.set_bit_generator(of_numpy)
            _SPARES.append(spare)
            random.setstate(of_python)


def _set_back(read: Callable[[], Any], write: Callable[[Any], Any], before: Any) -> None:
    if read() != before:
        write(before)


def _set_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _set_filters(before: list[Any]) -> None:
    warnings.filters[:] = before
    warnings._filters_mutated()


# How a setting is read, and written; both in one piece.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: vars(PRINT_OPTS).copy(), vars(PRINT_OPTS).update),
    (np.geterr, lambda before: np.seterr(**before)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: dict(os.environ), _set_environment),
)


def _devices() -> list[int]:
    """Return the CUDA devices in use: one that was never used has no generator yet, and to ask for it starts CUDA."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


def _seed(seed: int) -> None:
    # Not torch.manual_seed: it would leave a seeding behind for a CUDA that is started later.
    for generator in (torch.default_generator, *(torch.cuda.default_generators[i] for i in _devices())):
        generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - a layer may draw from the global generator
    random.seed(seed)


@contextmanager
def modes_at_rest() -> Iterator[None]:
    """Run the block in torch's own modes, whatever the caller's are, and restore the caller's after it.

    Gradients are on, autocast and inference mode off, and tensors are made on the CPU, but in :func:`seeded` blocks on
    the caller's default device. Deterministic algorithms and the detection of anomalies are left as they are set. What
    a call may change is restored: the global generators of random numbers and the settings of torch, NumPy and Python.
    """
    device = torch.get_default_device()
    with ExitStack() as modes:
        modes.enter_context(seeded(0))
        modes.callback(_STATES_KEPT.reset, _STATES_KEPT.set(True))
        for read, write in _SETTINGS:
            modes.callback(_set_back, read, write, read())
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if device.type != "cpu":
            modes.callback(_CALLERS_DEVICE.reset, _CALLERS_DEVICE.set(device))
            modes.enter_context(torch.device("cpu"))
        yield
