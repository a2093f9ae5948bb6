"""Figure 3 of the planar flows' paper, measured: `python -m benchmarks.planar`."""
