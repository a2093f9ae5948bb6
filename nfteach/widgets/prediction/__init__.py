"""A question that is answered before the reveal."""

from nfteach.widgets.prediction.questions import predict
from nfteach.widgets.prediction.widget import Prediction

__all__ = ["Prediction", "predict"]
