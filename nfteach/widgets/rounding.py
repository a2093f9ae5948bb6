"""Numbers as readouts show them."""

__all__ = ["without_noise"]


def without_noise(value: float) -> float:
    """Return zero in the place of what rounding leaves of it, and other numbers as they are."""
    return 0.0 if abs(value) < 1e-14 else float(value)
