"""RNADE on red wine, compared with a Gaussian and a mixture of Gaussians: `python -m benchmarks.rnade`."""
