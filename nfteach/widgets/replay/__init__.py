"""A training gone through again, from the copies of the parameters that were kept on the way."""

from nfteach.widgets.replay.posterior import PosteriorReplay
from nfteach.widgets.replay.training import TrainingReplay

__all__ = ["PosteriorReplay", "TrainingReplay"]
