"""Accuracy on real images, at the figures that the defaults are to keep."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import read_masks
from skpadim.metrics import aupro_score

pytestmark = pytest.mark.slow


def measure(detector, data):
    heatmaps = detector.fit(data.X_train).predict_heatmap(data.X_test)
    masks = read_masks(data.masks_test, heatmaps.shape[1:])
    defective = data.y_test == -1
    scores = -heatmaps.max(axis=(1, 2)).astype(np.float64)
    alarms = scores < detector.offset_
    return (
        roc_auc_score(defective, -scores),
        roc_auc_score(masks.ravel(), heatmaps.ravel()),
        aupro_score(masks, heatmaps, max_fpr=0.3),
        alarms[~defective].sum(),
        alarms[defective].mean(),
    )


@pytest.mark.parametrize(
    ("category", "image", "pixel", "pro", "false_alarms", "found"),
    [("bottle", 0.998, 0.981, 0.932, 2, 0.95), ("grid", 0.98, 0.974, 0.915, 3, 0.90)],
)
def test_defaults_on_real_images(real_data, category, image, pixel, pro, false_alarms, found):
    measured = measure(PaDiM(), real_data(category))
    assert measured[0] >= image
    assert measured[1] >= pixel
    assert measured[2] >= pro
    assert measured[3] <= false_alarms
    assert measured[4] >= found


@pytest.mark.filterwarnings("ignore:.*look defective by their scores:UserWarning")
def test_the_papers_grid_and_ridge_on_real_images(real_data):
    embedder = PatchEmbedder(neighborhood=1, grid_stride=4, alignment="nearest")
    detector = PaDiM(embedder=embedder, reg_covar=0.01, reg_relative=False)
    measured = measure(detector, real_data("bottle"))
    assert measured[1] >= 0.980
    assert measured[2] >= 0.92
