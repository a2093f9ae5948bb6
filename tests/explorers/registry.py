"""The registry of explorers: each of the gallery under its class's name, and variants of it under longer names."""

from __future__ import annotations

from tests.explorers import (
    couplings,
    digits,
    knots,
    latents,
    layers,
    lines,
    pixels,
    planes,
    replays,
    routes,
    triangular,
)
from tests.explorers.entry import Entry

__all__ = ["EXPLORERS"]

EXPLORERS: dict[str, Entry] = {
    name: entry
    for topic in (lines, planes, couplings, digits, knots, layers, pixels, triangular, routes, replays, latents)
    for name, entry in topic.ENTRIES.items()
}
