"""Metrics of images, pixels and regions, held against their definitions and scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.special import expit
from sklearn.metrics import auc, average_precision_score, f1_score, roc_auc_score

from skpadim.datasets import read_masks
from skpadim.metrics import (
    PixelHistogram,
    aupro_score,
    f1_max,
    pixel_average_precision_score,
    pixel_f1_max,
    pixel_roc_auc_score,
    pixel_roc_curve,
    pro_curve,
)


def regions_of(mask):
    """Flood fill over sides and corners, pixel by pixel."""
    left = set(map(tuple, np.argwhere(mask)))
    regions = []
    while left:
        region, frontier = set(), [left.pop()]
        while frontier:
            row, column = frontier.pop()
            region.add((row, column))
            for neighbour in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if neighbour in left:
                    left.remove(neighbour)
                    frontier.append(neighbour)
        regions.append(region)
    return regions


def pro_by_definition(masks, heatmaps):
    """One point of the curve for each distinct score, from the highest down."""
    good = np.concatenate([h[~m] for m, h in zip(masks, heatmaps, strict=True)])
    regions = [
        np.array([heatmap[pixel] for pixel in region])
        for mask, heatmap in zip(masks, heatmaps, strict=True)
        for region in regions_of(mask)
    ]
    fpr, pro, thresholds = [0.0], [0.0], [np.inf]
    for threshold in sorted({score for h in heatmaps for score in h.ravel()}, reverse=True):
        fpr.append(np.mean(good >= threshold))
        pro.append(np.mean([np.mean(region >= threshold) for region in regions]))
        thresholds.append(threshold)
    return np.array(fpr), np.array(pro), np.array(thresholds)


def aupro_by_definition(masks, heatmaps, max_fpr):
    """Trapezoids under the curve up to `max_fpr`."""
    fpr, pro, _ = pro_by_definition(masks, heatmaps)
    inside = fpr <= max_fpr
    if not inside.all():
        before, after = inside.sum() - 1, inside.sum()
        share = (max_fpr - fpr[before]) / (fpr[after] - fpr[before])
        end = pro[before] + share * (pro[after] - pro[before])
        fpr, pro = np.append(fpr[inside], max_fpr), np.append(pro[inside], end)
    return np.trapezoid(pro, fpr) / max_fpr


@st.composite
def masks_and_heatmaps(draw):
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5).filter(np.prod))
    masks = draw(hnp.arrays(bool, shape).filter(lambda m: m.any() and not m.all()))
    few_levels = st.integers(0, draw(st.integers(0, 12)))  # so that ties are common
    return masks, draw(hnp.arrays(np.int64, shape, elements=few_levels)).astype(np.float32)


@pytest.fixture
def masks():
    masks = np.zeros((3, 8, 10), dtype=bool)
    masks[0, 1:3, 1:3] = True
    masks[0, 5:8, 4:9] = True
    masks[1, 0, 0] = True
    return masks


@pytest.fixture
def heatmaps(masks):
    noise = np.random.RandomState(0).normal(size=masks.shape)
    return noise + 1.5 * masks


@settings(max_examples=50)
@given(masks_and_heatmaps(), st.floats(0.01, 1))
def test_it_is_the_area_under_the_curve_over_all_distinct_scores(data, max_fpr):
    assert aupro_score(*data, max_fpr=max_fpr) == pytest.approx(
        aupro_by_definition(*data, max_fpr), abs=1e-9
    )


def test_larger_noisy_maps_agree_with_the_definition(masks, heatmaps):
    assert aupro_score(masks, heatmaps) == pytest.approx(aupro_by_definition(masks, heatmaps, 0.3))


@pytest.mark.parametrize("max_fpr", [0.05, 0.3, 1])
def test_a_perfect_heatmap_scores_one(masks, max_fpr):
    assert aupro_score(masks, masks.astype(float), max_fpr=max_fpr) == pytest.approx(1)


@pytest.mark.parametrize("max_fpr", [0.05, 0.3, 1])
def test_a_constant_heatmap_scores_half_of_max_fpr(masks, max_fpr):
    constant = np.full(masks.shape, 7.0)
    assert aupro_score(masks, constant, max_fpr=max_fpr) == pytest.approx(max_fpr / 2)


def test_an_inverted_heatmap_scores_zero(masks):
    assert aupro_score(masks, -masks.astype(float), max_fpr=1) == pytest.approx(0)


def test_the_curve_is_interpolated_at_max_fpr():
    # Two good pixels: the curve is flat at 1/2 from fpr 0 to 1/2, then rises to 1 at fpr 1.
    masks = np.array([[[1, 1, 0, 0]]])
    heatmaps = np.array([[[3.0, 1.0, 2.0, 1.0]]])
    area = 0.5 * 0.5 + 0.25 * (0.5 + 0.75) / 2
    assert aupro_score(masks, heatmaps, max_fpr=0.75) == pytest.approx(area / 0.75)


def test_pixels_that_touch_by_a_corner_are_one_region():
    # Found wholly: a diagonal of two pixels. Missed: one single pixel. Two regions, half found.
    masks = np.array([[[1, 0, 0, 0], [0, 1, 0, 1]]])
    heatmaps = np.array([[[9.0, 1.0, 1.0, 1.0], [1.0, 9.0, 1.0, 0.0]]])
    assert aupro_score(masks, heatmaps) == pytest.approx(1 / 2)


def test_a_small_region_counts_as_much_as_a_large_one():
    masks = np.zeros((1, 6, 6), dtype=bool)
    masks[0, 0, 0] = masks[0, 2:, 2:] = True
    heatmaps = np.zeros(masks.shape)
    heatmaps[0, 0, 0] = 2  # the single pixel is found, the sixteen others are missed
    heatmaps[0, 2:, 2:] = -1
    assert aupro_score(masks, heatmaps) == pytest.approx(1 / 2)


def test_regions_are_pooled_over_images_and_not_averaged_within_them_first():
    masks = np.zeros((2, 4, 7), dtype=bool)
    masks[0, 0, [0, 2, 4]] = True  # three regions, all found
    masks[1, 0, 0] = True  # one region, missed
    heatmaps = np.where(masks, 1.0, 0.0)
    heatmaps[1, 0, 0] = -1
    assert aupro_score(masks, heatmaps) == pytest.approx(3 / 4)


def test_false_positives_are_counted_over_all_images_together():
    # Twelve good pixels of sixteen above the defect, eight of them in a map without a defect.
    masks = np.zeros((2, 1, 9), dtype=bool)
    masks[0, 0, :2] = True
    heatmaps = np.full(masks.shape, 2.0)
    heatmaps[0, 0, :2] = 1
    heatmaps[0, 0, 5:] = 0
    assert aupro_score(masks, heatmaps, max_fpr=1) == pytest.approx(1 - 12 / 16)


def test_with_one_region_and_the_whole_range_it_is_the_pixel_auroc(masks, heatmaps):
    masks[0, 5:8, 4:9] = masks[1, 0, 0] = False
    assert aupro_score(masks, heatmaps, max_fpr=1) == pytest.approx(
        roc_auc_score(masks.ravel(), heatmaps.ravel())
    )


@pytest.mark.parametrize("transform", [expit, np.cbrt, lambda scores: 3 * scores - 5])
def test_a_rising_transformation_of_the_scores_changes_nothing(masks, heatmaps, transform):
    assert aupro_score(masks, transform(heatmaps)) == aupro_score(masks, heatmaps)


def test_the_order_of_the_images_does_not_matter(masks, heatmaps):
    order = [2, 0, 1]
    assert aupro_score(masks[order], heatmaps[order]) == pytest.approx(aupro_score(masks, heatmaps))


def test_images_may_differ_in_size(masks, heatmaps):
    mixed_masks = [masks[0], masks[1, :5, :4], masks[2].T]
    mixed_heatmaps = [heatmaps[0], heatmaps[1, :5, :4], heatmaps[2].T]
    assert aupro_score(mixed_masks, mixed_heatmaps) == pytest.approx(
        aupro_by_definition(mixed_masks, mixed_heatmaps, 0.3)
    )


@pytest.mark.parametrize("scale", [np.uint8(1), np.uint8(255), 1, 1.0])
def test_masks_may_hold_numbers(masks, heatmaps, scale):
    assert aupro_score(masks * scale, heatmaps) == aupro_score(masks, heatmaps)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32])
def test_heatmaps_may_have_any_number_type(masks, heatmaps, dtype):
    levels = np.round(20 + 5 * heatmaps)
    assert aupro_score(masks, levels.astype(dtype)) == aupro_score(masks, levels)


def test_the_arguments_are_left_as_they_were(masks, heatmaps):
    before = masks.copy(), heatmaps.copy()
    aupro_score(masks, heatmaps)
    np.testing.assert_array_equal(masks, before[0])
    np.testing.assert_array_equal(heatmaps, before[1])


@pytest.mark.parametrize("max_fpr", [0, -0.1, 1.01, float("nan"), "0.3", None])
def test_max_fpr_outside_its_range_is_refused(masks, heatmaps, max_fpr):
    with pytest.raises(ValueError, match=r"max_fpr must be a number in \(0, 1\]; got"):
        aupro_score(masks, heatmaps, max_fpr=max_fpr)


def test_another_number_of_masks_than_of_heatmaps_is_refused(masks, heatmaps):
    with pytest.raises(ValueError, match="3 masks and 2 heatmaps"):
        aupro_score(masks, heatmaps[:2])


def test_a_mask_of_another_size_than_its_heatmap_is_named(masks, heatmaps):
    with pytest.raises(ValueError, match=r"masks\[1\] has \(4, 10\) and heatmaps\[1\] has \(8, 10"):
        aupro_score([masks[0], masks[1, :4], masks[2]], heatmaps)


def test_a_single_image_without_its_first_axis_is_refused(masks, heatmaps):
    with pytest.raises(ValueError, match=r"masks\[0\] has \(10,\)"):
        aupro_score(masks[0], heatmaps[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_heatmap_that_is_not_finite_is_named(masks, heatmaps, value):
    heatmaps[2, 3, 4] = value
    with pytest.raises(ValueError, match=r"heatmaps\[2\] has NaN or infinite values"):
        aupro_score(masks, heatmaps)


@pytest.mark.parametrize("value", [0.5, 2, -1, np.nan])
def test_a_mask_that_is_not_binary_is_named(masks, heatmaps, value):
    numbers = masks.astype(float)
    numbers[1, 4, 4] = value
    with pytest.raises(ValueError, match=r"masks\[1\] is not binary"):
        aupro_score(numbers, heatmaps)


def test_a_mask_that_mixes_one_and_255_is_not_binary(masks, heatmaps):
    numbers = masks.astype(np.uint8)
    numbers[0, 1, 1] = 255
    with pytest.raises(ValueError, match=r"masks\[0\] is not binary:"):
        aupro_score(numbers, heatmaps)


def test_masks_without_any_defect_are_refused(masks, heatmaps):
    with pytest.raises(ValueError, match="no defective pixel"):
        aupro_score(np.zeros_like(masks), heatmaps)


def test_masks_without_any_good_pixel_are_refused(masks, heatmaps):
    with pytest.raises(ValueError, match="no defect-free pixel"):
        aupro_score(np.ones_like(masks), heatmaps)


def test_no_images_at_all_are_refused():
    with pytest.raises(ValueError, match="no defective pixel"):
        aupro_score([], [])


# Curves.


@settings(max_examples=40)
@given(masks_and_heatmaps())
def test_the_pro_curve_has_a_point_for_each_distinct_score(data):
    curve = pro_curve(*data, drop_intermediate=False)
    for values, expected in zip(curve, pro_by_definition(*data), strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-12)


@settings(max_examples=40)
@given(masks_and_heatmaps())
def test_points_that_are_dropped_lie_on_the_curve_that_is_left(data):
    x, y, _ = pro_curve(*data, drop_intermediate=False)
    left_x, left_y, _ = pro_curve(*data)
    assert len(left_x) <= len(x)
    # Both rise, so that their sum tells where on the curve a point lies.
    np.testing.assert_allclose(np.interp(x + y, left_x + left_y, left_y), y, atol=1e-9)


def test_the_pro_curve_pools_images_of_different_sizes(masks, heatmaps):
    mixed_masks = [masks[0], masks[1, :5, :4], masks[2].T]
    mixed_heatmaps = [heatmaps[0], heatmaps[1, :5, :4], heatmaps[2].T]
    curve = pro_curve(mixed_masks, mixed_heatmaps, drop_intermediate=False)
    for values, expected in zip(curve, pro_by_definition(mixed_masks, mixed_heatmaps), strict=True):
        np.testing.assert_allclose(values, expected)


def test_the_area_under_the_whole_pro_curve_is_aupro(masks, heatmaps):
    fpr, pro, _ = pro_curve(masks, heatmaps)
    assert auc(fpr, pro) == pytest.approx(aupro_score(masks, heatmaps, max_fpr=1))


@settings(max_examples=50)
@given(masks_and_heatmaps())
def test_the_roc_curve_of_pixels_has_a_point_for_each_distinct_score(data):
    masks, heatmaps = data
    fpr, tpr, thresholds = pixel_roc_curve(masks, heatmaps, drop_intermediate=False)
    np.testing.assert_array_equal(thresholds, [np.inf, *np.unique(heatmaps)[::-1]])
    for threshold, false, true in zip(thresholds, fpr, tpr, strict=True):
        assert false == pytest.approx(np.mean(heatmaps[~masks] >= threshold))
        assert true == pytest.approx(np.mean(heatmaps[masks] >= threshold))


def test_the_roc_curve_of_pixels_pools_images_of_different_sizes(masks, heatmaps):
    mixed_masks = [masks[0], masks[1, :5, :4]]
    mixed_heatmaps = [heatmaps[0], heatmaps[1, :5, :4]]
    fpr, tpr, _ = pixel_roc_curve(mixed_masks, mixed_heatmaps)
    pooled = [np.concatenate([m.ravel() for m in maps]) for maps in (mixed_masks, mixed_heatmaps)]
    assert auc(fpr, tpr) == pytest.approx(roc_auc_score(*pooled))


@pytest.mark.parametrize("curve", [pro_curve, pixel_roc_curve])
def test_curves_refuse_what_the_area_refuses(masks, heatmaps, curve):
    with pytest.raises(ValueError, match="3 masks and 2 heatmaps"):
        curve(masks, heatmaps[:2])
    with pytest.raises(ValueError, match=r"masks\[0\] is not binary"):
        curve(masks * 2, heatmaps)
    with pytest.raises(ValueError, match="no defective pixel"):
        curve(np.zeros_like(masks), heatmaps)
    with pytest.raises(ValueError, match="no defect-free pixel"):
        curve(np.ones_like(masks), heatmaps)
    with pytest.raises(ValueError, match="no defective pixel"):
        curve([], [])


# Pixels.


def f1_by_definition(defective, scores):
    """F1 at each distinct score, from the highest down."""
    best = (0.0, np.inf)
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = np.sum(defective & (scores >= threshold))
        f1 = 2 * found / (defective.sum() + np.sum(scores >= threshold))
        if f1 > best[0]:
            best = (f1, threshold)
    return best


@settings(max_examples=50)
@given(masks_and_heatmaps())
def test_pixel_roc_auc_is_the_share_of_pairs_in_the_right_order(data):
    masks, heatmaps = data
    differences = heatmaps[masks][:, None] - heatmaps[~masks]
    expected = np.mean(differences > 0) + np.mean(differences == 0) / 2
    assert pixel_roc_auc_score(masks, heatmaps) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(masks_and_heatmaps())
def test_pixel_average_precision_is_the_mean_precision_at_the_defective_pixels(data):
    masks, heatmaps = data
    expected = np.mean([masks[heatmaps >= score].mean() for score in heatmaps[masks]])
    assert pixel_average_precision_score(masks, heatmaps) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(masks_and_heatmaps())
def test_the_largest_f1_of_pixels_comes_with_the_highest_threshold_that_has_it(data):
    masks, heatmaps = data
    score, threshold = pixel_f1_max(masks, heatmaps)
    expected, at = f1_by_definition(masks.ravel(), heatmaps.ravel())
    assert score == pytest.approx(expected, abs=1e-12)
    assert threshold == at


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_metrics_of_pixels_agree_with_scikit_learn(masks, heatmaps, dtype):
    heatmaps = (100 + 20 * heatmaps).astype(dtype)
    flat = masks.ravel(), heatmaps.ravel()
    assert pixel_roc_auc_score(masks, heatmaps) == pytest.approx(roc_auc_score(*flat))
    assert pixel_average_precision_score(masks, heatmaps) == pytest.approx(
        average_precision_score(*flat)
    )
    score, threshold = pixel_f1_max(masks, heatmaps)
    assert score == pytest.approx(f1_score(masks.ravel(), heatmaps.ravel() >= threshold))


def test_metrics_of_pixels_pool_images_of_different_sizes(masks, heatmaps):
    mixed_masks = [masks[0], masks[1, :5, :4], masks[2].T]
    mixed_heatmaps = [heatmaps[0], heatmaps[1, :5, :4], heatmaps[2].T]
    flat = [np.concatenate([m.ravel() for m in maps]) for maps in (mixed_masks, mixed_heatmaps)]
    assert pixel_roc_auc_score(mixed_masks, mixed_heatmaps) == pytest.approx(roc_auc_score(*flat))


def test_heatmaps_that_know_nothing_get_a_half_and_the_share_of_defective_pixels(masks):
    constant = np.full(masks.shape, 7.0)
    assert pixel_roc_auc_score(masks, constant) == 0.5
    assert pixel_average_precision_score(masks, constant) == pytest.approx(masks.mean())
    share = masks.mean()
    assert pixel_f1_max(masks, constant) == (pytest.approx(2 * share / (1 + share)), 7)


def test_metrics_of_pixels_leave_their_arguments_as_they_were(masks, heatmaps):
    before = masks.copy(), heatmaps.copy()
    pixel_roc_auc_score(masks, heatmaps)
    PixelHistogram().update(masks, heatmaps)
    np.testing.assert_array_equal(masks, before[0])
    np.testing.assert_array_equal(heatmaps, before[1])


METRICS_OF_PIXELS = [pixel_roc_auc_score, pixel_average_precision_score, pixel_f1_max]


@pytest.mark.parametrize("metric", METRICS_OF_PIXELS)
def test_metrics_of_pixels_refuse_what_aupro_refuses(masks, heatmaps, metric):
    with pytest.raises(ValueError, match="3 masks and 2 heatmaps"):
        metric(masks, heatmaps[:2])
    with pytest.raises(ValueError, match=r"masks\[0\] is not binary"):
        metric(masks * 2, heatmaps)
    with pytest.raises(ValueError, match="no defective pixel"):
        metric(np.zeros_like(masks), heatmaps)
    with pytest.raises(ValueError, match="no defective pixel"):
        metric([], [])


def test_only_the_roc_needs_good_pixels(masks, heatmaps):
    everything = np.ones_like(masks)
    with pytest.raises(ValueError, match="no defect-free pixel; a ROC curve needs some"):
        pixel_roc_auc_score(everything, heatmaps)
    assert pixel_average_precision_score(everything, heatmaps) == 1
    assert pixel_f1_max(everything, heatmaps) == (1, heatmaps.min())


# Images.


@settings(max_examples=50)
@given(
    hnp.arrays(bool, st.integers(1, 12))
    .filter(np.any)
    .flatmap(
        lambda y: st.tuples(
            st.just(y),
            hnp.arrays(np.float64, len(y), elements=st.integers(-3, 3).map(float)),
        )
    )
)
def test_the_largest_f1_of_images_comes_with_the_highest_threshold_that_has_it(data):
    y, scores = data
    score, threshold = f1_max(y, scores)
    expected, at = f1_by_definition(y, scores)
    assert score == pytest.approx(expected, abs=1e-12)
    assert score == pytest.approx(f1_score(y, scores >= threshold))
    assert threshold == at


def test_the_positive_class_can_be_named():
    y, scores = np.array([1, -1, 1, -1]), np.array([0.1, 0.9, 0.2, 0.8])
    assert f1_max(y, scores, pos_label=-1) == (1, 0.8)


def test_labels_are_checked_by_scikit_learn():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        f1_max([0, 1], [0.5])
    with pytest.raises(ValueError, match="multiclass"):
        f1_max([0, 1, 2], [0.5, 0.6, 0.7])
    with pytest.warns(UserWarning, match="No positive class"):
        assert f1_max([0, 0], [0.5, 0.6])[0] == 0


# Histograms.

HISTOGRAM_METRICS = {
    "roc_auc_score": pixel_roc_auc_score,
    "average_precision_score": pixel_average_precision_score,
    "aupro_score": aupro_score,
}


@st.composite
def crowded_maps(draw):
    """Scores of which many, but not all, are equal to within a bin."""
    masks, levels = draw(masks_and_heatmaps())
    scale = draw(st.sampled_from([1e-4, 1e-3, 1.0]))
    base = draw(st.sampled_from([-1.0, 1.0, 700.0]))
    return masks, base * (1 + scale * levels.astype(np.float64))


def value_and_error(histogram, name):
    return getattr(histogram, name)(), getattr(histogram, name.replace("_score", "_error"))()


@settings(max_examples=25)
@given(crowded_maps(), st.floats(0.01, 1))
def test_the_exact_value_is_within_the_error_that_the_histogram_tells(data, max_fpr):
    histogram = PixelHistogram().update(*data)
    value, error = (
        part(max_fpr=max_fpr) for part in (histogram.aupro_score, histogram.aupro_error)
    )
    assert abs(value - aupro_score(*data, max_fpr=max_fpr)) <= error + 1e-12
    for name in ("roc_auc_score", "average_precision_score"):
        value, error = value_and_error(histogram, name)
        assert abs(value - HISTOGRAM_METRICS[name](*data)) <= error + 1e-12
    value, _ = histogram.f1_max()
    assert value - 1e-12 <= pixel_f1_max(*data)[0] <= value + histogram.f1_max_error() + 1e-12


def test_the_error_can_be_reached():
    # One bin: all defective pixels above the good ones, which the histogram cannot see.
    masks = np.array([[[1, 1, 0, 0]]])
    heatmaps = np.array([[[1.0003, 1.0002, 1.0001, 1.0]]])
    histogram = PixelHistogram().update(masks, heatmaps)
    assert value_and_error(histogram, "roc_auc_score") == (0.5, 0.5)
    assert value_and_error(histogram, "average_precision_score") == (0.5, 0.5)
    assert histogram.aupro_score(max_fpr=1) == histogram.aupro_error(max_fpr=1) == 0.5
    assert histogram.f1_max() == (pytest.approx(2 / 3), 1)
    assert histogram.f1_max_error() == pytest.approx(1 / 3)


@settings(max_examples=20)
@given(masks_and_heatmaps())
def test_scores_in_bins_of_their_own_are_exact(data):
    masks, heatmaps = data  # whole numbers up to 12
    histogram = PixelHistogram().update(masks, heatmaps - 6)
    for name, exact in HISTOGRAM_METRICS.items():
        assert getattr(histogram, name)() == pytest.approx(exact(masks, heatmaps), abs=1e-12)
    score, threshold = pixel_f1_max(masks, heatmaps - 6)
    value, edge = histogram.f1_max()
    assert value == pytest.approx(score)
    assert threshold - abs(threshold) / 2**11 <= edge <= threshold


def test_noisy_maps_are_known_to_a_fraction_of_a_percent():
    random_state = np.random.RandomState(0)
    masks = np.zeros((6, 64, 64), dtype=bool)
    masks[:3, 10:20, 5:60] = masks[1, 40, 40] = True
    heatmaps = random_state.gamma(4 + masks).astype(np.float32)
    histogram = PixelHistogram().update(masks, heatmaps)
    for name, exact in HISTOGRAM_METRICS.items():
        value, error = value_and_error(histogram, name)
        assert value == pytest.approx(exact(masks, heatmaps), abs=1e-4)
        assert error < 0.005


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_neither_unit_nor_sign_of_the_scores_need_be_known(masks, heatmaps, scale):
    histogram = PixelHistogram().update(masks, heatmaps * scale)
    assert heatmaps.min() < 0 < heatmaps.max()
    value, error = value_and_error(histogram, "roc_auc_score")
    assert error < 0.002
    assert value == pytest.approx(pixel_roc_auc_score(masks, heatmaps), abs=0.002)


def test_batches_add_up_to_the_whole(masks, heatmaps):
    histogram = PixelHistogram()
    for mask, heatmap in zip(masks, heatmaps, strict=True):
        assert histogram.update([mask], [heatmap]) is histogram
    histogram.update([], [])
    whole = PixelHistogram().update(masks, heatmaps)
    assert histogram.aupro_score() == pytest.approx(whole.aupro_score())
    assert histogram.roc_auc_score() == whole.roc_auc_score()
    assert (histogram.n_images_, histogram.n_regions_) == (3, 3)
    assert (histogram.n_defective_, histogram.n_good_) == (masks.sum(), (~masks).sum())


def test_memory_does_not_grow_with_the_number_of_images():
    mask, heatmap = np.eye(64, dtype=bool), np.random.RandomState(0).normal(size=(64, 64))
    histogram = PixelHistogram()
    peaks = []
    tracemalloc.start()
    for n_batches in (2, 40):
        tracemalloc.reset_peak()
        for _ in range(n_batches):
            histogram.update([mask], [heatmap])
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**16


def test_minus_zero_is_zero():
    histogram = PixelHistogram().update([[[True, False]]], [[[-0.0, 0.0]]])
    assert value_and_error(histogram, "roc_auc_score") == (0.5, 0.5)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (([], [[[0.0]]]), "0 masks and 1 heatmaps"),
        (([[[True]]], [[[np.nan]]]), r"heatmaps\[0\] has NaN"),
        (([[[2]]], [[[0.0]]]), r"masks\[0\] is not binary"),
        (([[[1]], [[1]]], [[[0.0]], [[1e39]]]), r"heatmaps\[1\] .* a float32 cannot hold"),
    ],
)
def test_a_batch_that_is_refused_is_not_counted(masks, heatmaps, update, message):
    histogram = PixelHistogram().update(masks, heatmaps)
    before = histogram.aupro_score()
    with pytest.raises(ValueError, match=message):
        histogram.update(*update)
    assert histogram.aupro_score() == before
    assert histogram.n_images_ == 3


def test_histograms_need_what_the_exact_metrics_need(masks, heatmaps):
    nothing = PixelHistogram().update(np.zeros_like(masks), heatmaps)
    everything = PixelHistogram().update(np.ones_like(masks), heatmaps)
    for histogram in (PixelHistogram(), nothing):
        for name in [*HISTOGRAM_METRICS, "f1_max"]:
            with pytest.raises(ValueError, match="no defective pixel"):
                getattr(histogram, name)()
    for name in ("roc_auc_score", "aupro_score"):
        with pytest.raises(ValueError, match="no defect-free pixel"):
            getattr(everything, name)()
    assert everything.average_precision_score() == everything.f1_max()[0] == 1
    with pytest.raises(ValueError, match="max_fpr must be"):
        nothing.aupro_score(max_fpr=0)


def test_real_heatmaps_are_known_to_a_thousandth(real_data):
    """Distances of a real category, in the unit that they come in."""
    data = real_data("grid")
    masks = read_masks(data.masks_test, 64)
    images = np.stack(
        [
            np.asarray(Image.open(path).convert("L").resize((64, 64)), dtype=float)
            for path in data.X_test
        ]
    )
    heatmaps = np.abs(images - images[data.y_test == 1].mean(axis=0))
    histogram = PixelHistogram().update(masks, heatmaps)
    for name, exact in HISTOGRAM_METRICS.items():
        value, error = value_and_error(histogram, name)
        assert error < 0.001
        assert abs(value - exact(masks, heatmaps)) <= error
