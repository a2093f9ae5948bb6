"""RNADE on red wine, the authors' ten folds, beside a Gaussian and a mixture of Gaussians."""
