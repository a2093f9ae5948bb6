"""NADE on binary data sets, beside its paper's table: `python -m benchmarks.nade`."""
