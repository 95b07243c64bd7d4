"""How well heatmaps find the defective regions of images, and scores the defective images."""

from skpadim.metrics._f1 import f1_max
from skpadim.metrics._histogram import PixelHistogram
from skpadim.metrics._pixels import (
    pixel_average_precision_score,
    pixel_f1_max,
    pixel_roc_auc_score,
    pixel_roc_curve,
)
from skpadim.metrics._regions import aupro_score, pro_curve

__all__ = [
    "PixelHistogram",
    "aupro_score",
    "f1_max",
    "pixel_average_precision_score",
    "pixel_f1_max",
    "pixel_roc_auc_score",
    "pixel_roc_curve",
    "pro_curve",
]
