"""NADE on binary sets, beside the table of its paper: `python -m benchmarks.nade`."""
