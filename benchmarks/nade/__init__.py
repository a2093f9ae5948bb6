"""NADE on binary data sets, compared with its paper's table: `python -m benchmarks.nade`."""
