"""The speed of the models beside other libraries', and of NADE beside slower forms: `python -m benchmarks.speed`."""
