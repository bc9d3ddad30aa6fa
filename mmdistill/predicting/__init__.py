"""Students at work: what they say of pictures, and their features."""

from mmdistill.predicting.feature_files import embed_files
from mmdistill.predicting.prediction_files import predict_files
from mmdistill.predicting.predictor import Predictor, load

__all__ = ['Predictor', 'embed_files', 'load', 'predict_files']
