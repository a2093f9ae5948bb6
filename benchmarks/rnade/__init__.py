"""RNADE on red wine beside a Gaussian and a mixture of Gaussians: `python -m benchmarks.rnade`."""
