"""Planar flows on the four energies of their paper's figure 3: `python -m benchmarks.planar`."""
