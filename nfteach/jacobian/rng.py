"""Fixed seeds and modes of torch, which leave the global generators and the caller's modes as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar

import numpy as np
import torch

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
    the caller's default device. Deterministic algorithms and the detection of anomalies are left as they are set. The
    default dtype, which a call may change, is restored, and so are the global generators of random numbers.
    """
    device = torch.get_default_device()
    with ExitStack() as modes:
        modes.enter_context(seeded(0))
        modes.callback(_STATES_KEPT.reset, _STATES_KEPT.set(True))
        modes.callback(torch.set_default_dtype, torch.get_default_dtype())
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if device.type != "cpu":
            modes.callback(_CALLERS_DEVICE.reset, _CALLERS_DEVICE.set(device))
            modes.enter_context(torch.device("cpu"))
        yield
