"""assert_sound: the inspector as one line of a test."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfteach.jacobian import JacobianReport

__all__ = ["assert_sound"]


def assert_sound(
    layer: Any,
    x: Any,
    *,
    require: Collection[str] = ("log-det",),
    ignore: Collection[str] = (),
    atol: float = 0.0,
    rtol: float = 0.0,
    **options: Any,
) -> JacobianReport:
    """Inspect the Jacobian of a layer, and raise unless nothing is wrong and all that is required was compared.

    In pytest, the fixture of the same name does this too, and reports what was compared.

    Args:
        layer: whatever ``nfteach.inspect_jacobian`` takes.
        x: the points, (D,), (B, D), or events of more dimensions.
        require: what must have been compared, by the names in ``report.compared``.
        ignore, atol, rtol: what is accepted, as for ``JacobianReport.check``.
        options: ``perturb=0.5``, ``inverse=...`` and whatever else ``inspect_jacobian`` takes.

    Returns:
        the ``JacobianReport``.

    Raises:
        AssertionError: with every error, and with what was compared and what was not.
        ValueError: as ``inspect_jacobian`` and ``check`` raise it.
    """
    __tracebackhide__ = True
    from nfteach.jacobian import inspect_jacobian  # loads torch, for which pytest must not wait as it starts

    report = inspect_jacobian(layer, x, **options)
    try:
        return report.check(require=require, ignore=ignore, atol=atol, rtol=rtol)
    except AssertionError as error:
        raise AssertionError(f"{error}\n\nCompared:\n{report.comparisons()}") from None
