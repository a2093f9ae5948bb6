"""Latent interpolation: from one real image to another, through the latents of a flow."""

from nfteach.widgets.interpolation.explorer import LatentExplorer

__all__ = ["LatentExplorer"]
