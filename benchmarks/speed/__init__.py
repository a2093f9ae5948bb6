"""The speed of the models in several libraries, and of NADE in several forms: `python -m benchmarks.speed`."""
