"""Folds that train on good samples only, and scorers that look for defects."""

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.metrics import aupro_score
from skpadim.model_selection import (
    InlierKFold,
    image_average_precision,
    image_roc_auc,
    pixel_aupro,
    pixel_roc_auc,
)


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70, 4)), np.repeat([1, -1], [60, 10])
    X[y == -1] += 1.5
    order = rng.permutation(70)
    return X[order], y[order]


@given(
    n_good=st.integers(2, 30),
    n_defective=st.integers(0, 12),
    n_splits=st.integers(2, 6),
    shuffle=st.booleans(),
    share=st.booleans(),
)
def test_folds_train_on_good_samples_and_test_each_once(
    n_good, n_defective, n_splits, shuffle, share
):
    y = np.random.default_rng(0).permutation(np.repeat([1, -1], [n_good, n_defective]))
    folds = InlierKFold(n_splits, shuffle=shuffle, random_state=0, share_outliers=share)
    too_few = n_good < n_splits or (share and 0 < n_defective < n_splits)
    if too_few:
        with pytest.raises(ValueError, match="n_splits="):
            list(folds.split(y, y))
        return
    tested = np.zeros(len(y), dtype=int)
    for train, test in folds.split(y, y):
        assert np.all(y[train] == 1)
        np.testing.assert_array_equal(
            np.sort(np.r_[train, test[y[test] == 1]]), np.where(y == 1)[0]
        )
        tested[test] += 1
    assert np.all(tested[y == 1] == 1)
    assert np.all(tested[y == -1] == (1 if share else n_splits))
    assert folds.get_n_splits() == n_splits


def test_shuffled_folds_are_seeded():
    y = np.ones(20)
    first, second, other = (
        [test.tolist() for _, test in InlierKFold(4, shuffle=True, random_state=seed).split(y)]
        for seed in (0, 0, 1)
    )
    assert first == second != other


@pytest.mark.parametrize("y", [[0, 1, 0, 1], [1, 1, 1, -2], ["good", "bad", "good", "good"]])
def test_other_labels_are_refused(y):
    with pytest.raises(ValueError, match=r"\+1 is good and -1 is defective"):
        list(InlierKFold(2).split(np.zeros(4), y))
    with pytest.raises(ValueError, match=r"\+1 is good and -1 is defective"):
        image_roc_auc(
            PatchGaussian().fit(np.random.default_rng(0).normal(size=(20, 2))), np.zeros((4, 2)), y
        )


def test_image_scorers_look_for_the_defective_class(labelled):
    X, y = labelled
    detector = PatchGaussian().fit(X[y == 1][:40])
    anomaly = -detector.score_samples(X)
    assert image_roc_auc(detector, X, y) == pytest.approx(roc_auc_score(y == -1, anomaly))
    precision = average_precision_score(y == -1, anomaly)
    assert image_average_precision(detector, X, y) == pytest.approx(precision)


def test_a_grid_search_refits_and_scores_by_the_folds(labelled):
    X, y = labelled
    search = GridSearchCV(
        PatchGaussian(random_state=0),
        {"n_components": [1, 2, 4]},
        cv=InlierKFold(3),
        scoring=image_roc_auc,
        refit=False,
    ).fit(X, y)
    by_hand = [
        image_roc_auc(PatchGaussian(n_components=2, random_state=0).fit(X[train]), X[test], y[test])
        for train, test in InlierKFold(3).split(X, y)
    ]
    assert search.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(by_hand))


def test_pixel_scorers_are_given_masks_as_metadata(parts, tmp_path):
    paths = []
    for i, mask in enumerate(parts.masks):
        paths.append(tmp_path / f"{i}.png" if mask.any() else None)
        if mask.any():
            Image.fromarray(mask).save(paths[-1])
    masks = np.array(paths, dtype=object)
    detector = PaDiM(embedder=PatchEmbedder(image_size=96, engine="torch"), false_alarm_rate=0.2)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = {
            name: cross_val_score(
                detector,
                parts.images,
                parts.y,
                cv=InlierKFold(2),
                scoring=scorer.set_score_request(masks=True),
                params={"masks": given},
            )
            for name, scorer, given in [
                ("auroc", pixel_roc_auc, masks),
                ("aupro", pixel_aupro, masks),
                ("arrays", pixel_aupro, parts.masks),
            ]
        }
    train, test = next(InlierKFold(2).split(parts.images, parts.y))
    heatmaps = detector.fit(parts.images[train]).predict_heatmap(parts.images[test])
    truth = parts.masks[test]
    assert scores["auroc"][0] == pytest.approx(roc_auc_score(truth.ravel(), heatmaps.ravel()))
    assert scores["aupro"][0] == pytest.approx(aupro_score(truth, heatmaps))
    np.testing.assert_allclose(scores["arrays"], scores["aupro"])


@pytest.mark.parametrize("scorer", [pixel_roc_auc, pixel_aupro])
def test_a_pixel_scorer_without_masks_says_how_they_are_given(parts, detector, scorer):
    with pytest.raises(ValueError, match=r"needs masks: .*set_score_request\(masks=True\)"):
        scorer(detector, parts.images[24:], parts.y[24:])


def test_masks_of_another_shape_or_number_are_refused(parts, detector):
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(
            ValueError, match=r"masks\[0\] .* \(96, 96\), but its heatmap \(64, 64\)"
        ):
            pixel_aupro(detector, parts.images[24:], parts.y[24:], masks=parts.masks[24:])
        with pytest.raises(ValueError, match="3 masks for 12 images"):
            pixel_aupro(detector, parts.images[24:], parts.y[24:], masks=[None] * 3)
