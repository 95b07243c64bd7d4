"""What the displays show, read from matplotlib's own objects."""

import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.datasets import read_masks
from skpadim.display import (
    HeatmapDisplay,
    PixelRocCurveDisplay,
    ProCurveDisplay,
    ScoreDisplay,
)
from skpadim.metrics import aupro_score, pro_curve

THRESHOLD = 4.0


@pytest.fixture(autouse=True)
def closed_figures():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def images():
    """Three images of different sizes: grey, RGB, and RGB."""
    rng = np.random.default_rng(0)
    shapes = [(40, 60), (50, 50, 3), (30, 45, 3)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


@pytest.fixture
def heatmaps():
    """The first is good, the others are defective: at one pixel, and everywhere."""
    heatmaps = np.full((3, 8, 8), 1.0, dtype=np.float32)
    heatmaps[0, 2, 2] = THRESHOLD  # level with the threshold, which is not above it
    heatmaps[1, 5, 3] = 6.0
    heatmaps[2] = 5.0
    return heatmaps


@pytest.fixture
def masks(images):
    masks = [np.zeros(image.shape[:2], dtype=bool) for image in images]
    masks[1][10:20, 5:15] = True
    return masks


@pytest.fixture
def display(images, heatmaps, masks):
    return HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, masks=masks)


@pytest.fixture
def new(parts):
    return parts.images[26:34], parts.y[26:34], parts.masks[26:34]


def boundary(contour):
    """All points of the lines of a contour."""
    return np.concatenate([path.vertices for path in contour.get_paths()])


# Heatmaps.


def test_each_image_is_drawn_with_its_heatmap_over_its_whole_extent(display, images, heatmaps):
    for ax, image, heatmap, overlay in zip(
        display.axes_, images, heatmaps, display.overlays_, strict=True
    ):
        shown, over = ax.get_images()
        height, width = image.shape[:2]
        assert over is overlay
        np.testing.assert_array_equal(shown.get_array(), image)
        np.testing.assert_array_equal(overlay.get_array(), heatmap)
        assert shown.get_extent() == overlay.get_extent() == [-0.5, width - 0.5, height - 0.5, -0.5]


def test_grey_images_have_black_at_0_and_white_at_255(display):
    shown = display.axes_[0].get_images()[0]
    assert (shown.norm.vmin, shown.norm.vmax) == (0, 255)
    assert to_hex(shown.cmap(0.0)) == "#000000"
    assert to_hex(shown.cmap(1.0)) == "#ffffff"


def test_all_images_share_one_scale_that_begins_at_0_and_has_the_threshold_in_its_middle(display):
    norm = display.overlays_[0].norm
    assert all(overlay.norm is norm for overlay in display.overlays_)
    assert (norm.vmin, norm.vcenter, norm.vmax) == (0, THRESHOLD, 2 * THRESHOLD)
    assert norm(THRESHOLD) == 0.5


def test_the_scale_ends_at_the_largest_value_if_that_is_more_than_twice_the_threshold(
    images, heatmaps
):
    heatmaps[2, 0, 0] = 30
    display = HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD)
    assert display.overlays_[0].norm.vmax == 30


def test_the_scale_ends_where_the_user_says(images, heatmaps):
    display = HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, vmax=5)
    assert display.overlays_[0].norm.vmax == 5


@pytest.mark.parametrize(
    ("offset", "expected"), [(0.0, (-1, 0, 6)), (3.0, (-6, -3, 6)), (-0.5, (0, 0.5, 6))]
)
def test_offsets_set_by_hand_anchor_the_scale_as_well(images, heatmaps, offset, expected):
    norm = HeatmapDisplay.from_predictions(images, heatmaps, offset=offset).overlays_[0].norm
    assert (norm.vmin, norm.vcenter, norm.vmax) == expected


def test_colours_fade_to_nothing_below_the_threshold_and_jump_at_it(display):
    colour = display.overlays_[0].to_rgba
    assert colour(0.0)[3] == 0
    assert colour(THRESHOLD / 2)[3] == 0
    below, above = colour(THRESHOLD * 0.999), colour(THRESHOLD * 1.001)
    assert below[2] > below[0]  # blue
    assert above[0] > above[2]  # yellow
    assert above[3] > below[3] > 0
    luminances = [np.dot(colour(v)[:3], (0.2126, 0.7152, 0.0722)) for v in np.linspace(4, 8, 20)]
    assert (np.diff(luminances) < 0).all()


def test_only_images_called_defective_have_a_contour(display):
    assert [contour is not None for contour in display.contours_] == [False, True, True]


def test_the_contour_encloses_the_pixels_above_the_threshold(display):
    # The pixel (5, 3) of 8 x 8, in an image of 50 x 50, with neighbours at 1: the level 4 lies
    # two fifths of the way from its centre to theirs.
    vertices = boundary(display.contours_[1])
    pitch = 50 / 8
    centre = np.array([3.5, 5.5]) * pitch - 0.5
    np.testing.assert_allclose(vertices.min(axis=0), centre - 0.4 * pitch)
    np.testing.assert_allclose(vertices.max(axis=0), centre + 0.4 * pitch)


def test_the_contour_of_a_wholly_defective_image_follows_its_border(display):
    vertices = boundary(display.contours_[2])
    np.testing.assert_allclose(vertices.min(axis=0), [-0.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(vertices.max(axis=0), [44.5, 29.5], atol=1e-6)


def test_true_defects_are_outlined_where_there_are_any(display):
    assert [outline is not None for outline in display.outlines_] == [False, True, False]
    vertices = boundary(display.outlines_[1])  # columns 5 to 14, rows 10 to 19
    np.testing.assert_allclose(vertices.min(axis=0), [4.5, 9.5])
    np.testing.assert_allclose(vertices.max(axis=0), [14.5, 19.5])


def test_the_two_lines_differ_in_brightness_and_style_and_have_halos(display):
    predicted, true = display.contours_[1], display.outlines_[1]
    assert to_hex(predicted.get_edgecolor()[0]) == "#000000"
    assert to_hex(true.get_edgecolor()[0]) == "#ffffff"
    assert predicted.get_linestyle()[0][1] is None
    assert true.get_linestyle()[0][1] is not None
    assert all(line.get_path_effects() for line in (predicted, true))


def test_titles_tell_index_decision_and_score(display):
    assert [ax.get_title() for ax in display.axes_] == [
        "0: good, −4.00",  # noqa: RUF001 (matplotlib's minus)
        "1: defective, −6.00",  # noqa: RUF001 (matplotlib's minus)
        "2: defective, −5.00",  # noqa: RUF001 (matplotlib's minus)
    ]


def test_titles_tell_false_alarms_and_misses_where_labels_are_given(images, heatmaps):
    display = HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, y=[-1, 1, -1])
    verdicts = [ax.get_title().split(": ")[1].split(",")[0] for ax in display.axes_]
    assert verdicts == ["missed", "false alarm", "defective"]
    assert [ax.title.get_fontweight() for ax in display.axes_] == ["bold", "bold", "normal"]


def test_there_is_one_colour_bar_with_the_threshold_marked(display):
    assert len(display.figure_.axes) == 4
    bar = display.colorbar_
    assert bar.mappable is display.overlays_[0]
    labels = dict(
        zip(bar.get_ticks(), [t.get_text() for t in bar.ax.get_yticklabels()], strict=True)
    )
    assert labels[THRESHOLD] == "threshold 4.00"
    assert any(list(line.get_ydata()) == [THRESHOLD, THRESHOLD] for line in bar.ax.lines)
    assert all(abs(tick - THRESHOLD) >= 0.4 for tick in labels if tick != THRESHOLD)


def test_the_colour_bar_does_not_push_narrow_images_aside(display):
    assert {ax.get_anchor() for ax in display.axes_} == {"C"}


def test_the_colour_bar_can_be_left_out(images, heatmaps):
    display = HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, colorbar=False)
    assert display.colorbar_ is None
    assert len(display.figure_.axes) == 3


def test_a_legend_tells_the_lines_that_are_drawn(display, images, heatmaps):
    def entries(display):
        (legend,) = display.figure_.legends
        return [text.get_text() for text in legend.get_texts()]

    assert entries(display) == ["called defective", "true defect"]
    good = HeatmapDisplay.from_predictions(images[:1], heatmaps[:1], offset=-THRESHOLD)
    assert entries(good) == []


@pytest.mark.parametrize(
    ("n_images", "grid"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (6, (2, 3)), (12, (3, 4)), (40, (5, 8))],
)
def test_images_lie_in_a_grid_that_is_wider_than_high(n_images, grid):
    images = np.zeros((n_images, 20, 20, 3), dtype=np.uint8)
    display = HeatmapDisplay.from_predictions(images, np.zeros((n_images, 4, 4)), offset=-1)
    spec = display.axes_[0].get_subplotspec().get_gridspec()
    assert (spec.nrows, spec.ncols) == grid
    assert len(display.axes_) == n_images


@pytest.mark.parametrize("n_images", [1, 5, pytest.param(40, marks=pytest.mark.slow)])
def test_titles_do_not_run_into_each_other(n_images):
    images = np.zeros((n_images, 20, 20, 3), dtype=np.uint8)
    heatmaps = np.full((n_images, 4, 4), 123.4)
    display = HeatmapDisplay.from_predictions(
        images, heatmaps, offset=-100, y=np.ones(n_images, dtype=int)
    )
    display.figure_.canvas.draw()
    for ax in display.axes_:
        assert ax.title.get_window_extent().width <= ax.get_window_extent().width * 1.05


def test_places_without_an_image_stay_empty():
    images = np.zeros((5, 20, 20, 3), dtype=np.uint8)
    display = HeatmapDisplay.from_predictions(
        images, np.zeros((5, 4, 4)), offset=-1, colorbar=False
    )
    assert [ax.axison for ax in display.figure_.axes] == [True] * 5 + [False]


def test_it_draws_on_axes_that_are_given(images, heatmaps, masks):
    figure = Figure()
    axes = figure.subplots(1, 3)
    display = HeatmapDisplay.from_predictions(
        images, heatmaps, offset=-THRESHOLD, masks=masks, ax=axes
    )
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert not figure.legends
    assert not matplotlib.pyplot.get_fignums()


def test_one_image_takes_one_axes(images, heatmaps):
    ax = Figure().subplots()
    display = HeatmapDisplay.from_predictions(images[:1], heatmaps[:1], offset=-1, ax=ax)
    assert list(display.axes_) == [ax]


def test_axes_may_lie_in_a_subfigure(images, heatmaps):
    part = Figure(layout="constrained").subfigures(1, 2)[1]
    display = HeatmapDisplay.from_predictions(
        images, heatmaps, offset=-THRESHOLD, ax=part.subplots(1, 3)
    )
    assert display.figure_ is part
    assert display.colorbar_.ax.figure is part


def test_plot_can_be_called_again(display):
    figure = display.figure_
    assert display.plot() is display
    assert display.figure_ is not figure
    assert len(display.overlays_) == 3


def test_keyword_arguments_reach_matplotlib(images, heatmaps, masks):
    display = HeatmapDisplay.from_predictions(
        images,
        heatmaps,
        offset=-THRESHOLD,
        masks=masks,
        overlay_kwargs={"cmap": "cividis", "alpha": 0.3},
        contour_kwargs={"colors": "cyan"},
        outline_kwargs={"linewidths": 3},
    )
    assert display.overlays_[0].get_cmap().name == "cividis"
    assert display.overlays_[0].get_alpha() == 0.3
    assert to_hex(display.contours_[1].get_edgecolor()[0]) == "#00ffff"
    assert list(display.outlines_[1].get_linewidth()) == [3]


def test_large_images_are_shown_with_fewer_pixels():
    image = np.zeros((2100, 4200), dtype=np.uint8)
    image[:4, :4] = 200  # one block of 4 x 4
    display = HeatmapDisplay.from_predictions(
        [image], np.zeros((1, 4, 4)), offset=-1, masks=[image > 0]
    )
    assert display.images[0].shape == (525, 1050)
    assert display.images[0][0, 0] == 200
    assert display.images[0].sum() == 200
    assert boundary(display.outlines_[0]).max() < 1


def test_masks_may_be_paths_or_none(images, heatmaps, masks, tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(masks[1]).save(path)
    display = HeatmapDisplay.from_predictions(
        images, heatmaps, offset=-THRESHOLD, masks=[None, str(path), masks[2]]
    )
    for read, mask in zip(display.masks, masks, strict=True):
        np.testing.assert_array_equal(read, mask)


# Heatmaps of a detector.


@pytest.mark.parametrize("crop_size", [None, 48])
def test_decisions_scores_and_masks_are_those_of_the_detector(parts, crop_size):
    detector = PaDiM(
        embedder=PatchEmbedder(image_size=64, crop_size=crop_size, weights=None, engine="torch")
    )
    detector.fit(parts.images[:24])
    new = parts.images[24:]
    detector.offset_ = float(np.median(detector.score_samples(new)))  # level with no score but near
    display = HeatmapDisplay.from_estimator(detector, new)
    scores = [-np.float64(overlay.get_array().max()) for overlay in display.overlays_]
    np.testing.assert_array_equal(scores, detector.score_samples(new))
    called = [contour is not None for contour in display.contours_]
    np.testing.assert_array_equal(called, detector.predict(new) == -1)
    assert 0 < sum(called) < len(called)


def test_a_crop_lies_in_the_middle_of_the_image(parts):
    detector = PaDiM(
        embedder=PatchEmbedder(image_size=64, crop_size=48, weights=None, engine="torch")
    )
    detector.fit(parts.images[:24])
    heatmaps = detector.predict_heatmap(parts.images[24:27])
    display = HeatmapDisplay.from_estimator(detector, parts.images[24:27])
    shown = np.array([overlay.get_array() for overlay in display.overlays_])
    np.testing.assert_array_equal(shown[:, 8:56, 8:56], heatmaps)
    assert shown.sum() == pytest.approx(heatmaps.sum())


@pytest.mark.parametrize(
    "show",
    [
        HeatmapDisplay.from_estimator,
        lambda d, X: ScoreDisplay.from_estimator(d, X),
        lambda d, X: ProCurveDisplay.from_estimator(d, X, np.eye(96)[None].repeat(len(X), 0)),
        lambda d, X: PixelRocCurveDisplay.from_estimator(d, X, np.eye(96)[None].repeat(len(X), 0)),
    ],
    ids=["heatmaps", "scores", "pro", "roc"],
)
def test_images_are_embedded_once(parts, show):
    embedded = []

    class Counting(PatchEmbedder):
        def iter_embed(self, X, channels=None):
            embedded.append(len(X))
            return super().iter_embed(X, channels)

    detector = PaDiM(embedder=Counting(image_size=64, weights=None, engine="torch")).fit(
        parts.images[:24]
    )
    embedded.clear()
    show(detector, parts.images[24:29])
    assert embedded == [5]


@pytest.mark.filterwarnings("ignore:.*than the training images:UserWarning")
def test_paths_of_images_of_mixed_sizes_are_shown_at_their_sizes(detector, new, tmp_path):
    paths = []
    for i, size in enumerate([(96, 96), (50, 80), (120, 60)]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(new[0][i]).resize(size[::-1]).save(paths[-1])
    display = HeatmapDisplay.from_estimator(detector, paths)
    shapes = [ax.get_images()[0].get_array().shape for ax in display.axes_]
    assert shapes == [(96, 96, 3), (50, 80, 3), (120, 60, 3)]


# Scores.


def test_each_kind_has_its_row_of_scores(detector, new):
    X, y, _ = new
    display = ScoreDisplay.from_estimator(detector, X, y)
    scores = detector.score_samples(X)
    expected = {
        "calibration": detector.calibration_scores_,
        "good": scores[y == 1],
        "defective": scores[y == -1],
    }
    assert list(display.scatters_) == list(expected)
    for row, (name, marks) in enumerate(display.scatters_.items()):
        x, height = marks.get_offsets().T
        np.testing.assert_array_equal(x, expected[name])
        assert np.abs(height - row).max() <= 0.3 + 1e-9
    assert list(display.line_.get_xdata()) == [detector.offset_] * 2


def test_each_row_tells_how_many_are_called_defective():
    display = ScoreDisplay.from_predictions(
        [-1.0, -5.0, -3.0, -9.0, -2.0], offset=-3.0, y=[1, 1, 1, -1, -1], calibration_scores=[-2.0]
    )
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["calibration\n0 of 1 below", "good\n1 of 3 below", "defective\n1 of 2 below"]


def test_the_first_row_is_on_top():
    display = ScoreDisplay.from_predictions([-1.0, -2.0], offset=-1.5, y=[1, -1])
    bottom, top = display.ax_.get_ylim()
    assert bottom > top


def test_without_labels_there_is_one_row():
    display = ScoreDisplay.from_predictions([-1.0, -2.0], offset=-1.5)
    assert list(display.scatters_) == ["images"]
    assert display.ax_.get_yticklabels()[0].get_text() == "images\n1 of 2 below"


def test_the_sides_of_the_threshold_are_named():
    display = ScoreDisplay.from_predictions([-1.0, -2.0], offset=-1.5)
    sides = {text.get_text().strip(" ←→"): text for text in display.ax_.texts}
    assert sides["called defective"].get_horizontalalignment() == "right"
    assert sides["called good"].get_horizontalalignment() == "left"
    assert {text.xy[0] for text in sides.values()} == {-1.5}
    assert display.ax_.get_xlabel() == "score, larger is more normal; threshold −1.50"  # noqa: RUF001 (matplotlib's minus)


def test_kinds_differ_in_colour_and_marker():
    display = ScoreDisplay.from_predictions(
        [-1.0, -2.0], offset=-1.5, y=[1, -1], calibration_scores=[-1.0]
    )
    colours = {to_rgba(marks.get_edgecolor()[0]) for marks in display.scatters_.values()}
    assert len(colours) == 3
    good, defective = (display.scatters_[name].get_paths()[0] for name in ("good", "defective"))
    assert len(good.vertices) != len(defective.vertices)


def test_scores_of_pipelines_and_other_detectors_can_be_shown(parts):
    X = parts.images.reshape(len(parts.images), -1)[:, ::5000].astype(float)
    forest = IsolationForest(random_state=0).fit(X)
    display = ScoreDisplay.from_estimator(forest, X)
    assert list(display.scatters_) == ["images"]
    assert display.offset == forest.offset_
    pipeline = make_pipeline(
        PatchEmbedder(image_size=64, weights=None, engine="torch"), PatchGaussian()
    )
    pipeline.fit(parts.images[:24])
    display = ScoreDisplay.from_estimator(pipeline, parts.images[24:])
    assert display.offset == pipeline[-1].offset_
    assert list(display.scatters_) == ["calibration", "images"]


def test_scores_take_axes_and_keyword_arguments():
    ax = Figure().subplots()
    display = ScoreDisplay.from_predictions(
        [-1.0],
        offset=-2.0,
        ax=ax,
        scatter_kwargs={"s": 50},
        line_kwargs={"linestyle": "dotted"},
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert list(display.scatters_["images"].get_sizes()) == [50]
    assert display.line_.get_linestyle() == ":"


# Curves.


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 12, 12), dtype=bool)
    masks[0, 2:5, 2:5] = masks[0, 8, 8] = masks[1, 6:, 6:] = True
    return masks, rng.normal(size=masks.shape) + 2 * masks


def test_the_pro_curve_is_drawn_and_named_with_its_area(pixels):
    display = ProCurveDisplay.from_predictions(*pixels, max_fpr=0.2, name="mine")
    fpr, pro, _ = pro_curve(*pixels)
    np.testing.assert_array_equal(display.line_.get_xdata(), fpr)
    np.testing.assert_array_equal(display.line_.get_ydata(), pro)
    aupro = aupro_score(*pixels, max_fpr=0.2)
    assert display.aupro == aupro
    (label,) = display.ax_.get_legend().get_texts()
    assert label.get_text() == f"mine (AUPRO = {aupro:.3f}, FPR ≤ 0.2)"


def test_the_shaded_area_is_the_one_that_counts(pixels):
    display = ProCurveDisplay.from_predictions(*pixels, max_fpr=0.2)
    x, y = display.area_.get_paths()[0].vertices.T
    assert (x.min(), x.max()) == (0, 0.2)
    shoelace = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert shoelace / 0.2 == pytest.approx(aupro_score(*pixels, max_fpr=0.2))


def test_the_whole_range_can_count(pixels):
    display = ProCurveDisplay.from_predictions(*pixels, max_fpr=1)
    assert display.area_.get_paths()[0].vertices[:, 0].max() == 1


def test_the_roc_curve_of_pixels_is_named_with_its_area(pixels):
    masks, heatmaps = pixels
    display = PixelRocCurveDisplay.from_predictions(masks, heatmaps)
    auroc = roc_auc_score(masks.ravel(), heatmaps.ravel())
    assert display.roc_auc == pytest.approx(auroc)
    assert np.trapezoid(display.line_.get_ydata(), display.line_.get_xdata()) == pytest.approx(
        auroc
    )
    (label,) = display.ax_.get_legend().get_texts()
    assert label.get_text() == f"AUROC = {auroc:.3f}"


@pytest.mark.parametrize(
    ("show", "value"),
    [
        (ProCurveDisplay, lambda masks, heatmaps: aupro_score(masks, heatmaps)),
        (PixelRocCurveDisplay, lambda m, h: roc_auc_score(m.ravel(), h.ravel())),
    ],
)
def test_curves_of_a_detector_compare_masks_at_the_size_of_its_heatmaps(
    detector, new, tmp_path, show, value
):
    X, _, masks = new
    paths = [tmp_path / f"{i}.png" if mask.any() else None for i, mask in enumerate(masks)]
    for path, mask in zip(paths, masks, strict=True):
        if path is not None:
            Image.fromarray(mask).save(path)
    expected = value(read_masks(paths, 64), detector.predict_heatmap(X))
    for given_masks in (masks, paths):
        display = show.from_estimator(detector, X, given_masks)
        drawn = display.aupro if show is ProCurveDisplay else display.roc_auc
        assert drawn == pytest.approx(expected)
        (label,) = display.ax_.get_legend().get_texts()
        assert label.get_text().startswith("PaDiM (")


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda x: ProCurveDisplay(fpr=x, pro=x), None),
        (lambda x: ProCurveDisplay(fpr=x, pro=x, name="a"), "a"),
        (lambda x: PixelRocCurveDisplay(fpr=x, tpr=x), None),
        (lambda x: PixelRocCurveDisplay(fpr=x, tpr=x, name="a"), "a"),
        (lambda x: PixelRocCurveDisplay(fpr=x, tpr=x, roc_auc=0.5), "AUROC = 0.500"),
    ],
)
def test_a_legend_has_what_is_known(make, label):
    legend = make(np.array([0.0, 1.0])).plot().ax_.get_legend()
    assert (legend and legend.get_texts()[0].get_text()) == label


def test_curves_share_axes(pixels):
    masks, heatmaps = pixels
    first = ProCurveDisplay.from_predictions(masks, heatmaps, name="one")
    second = ProCurveDisplay.from_predictions(
        masks,
        -heatmaps,
        ax=first.ax_,
        curve_kwargs={"color": "black", "label": "other"},
        area_kwargs={"alpha": 0.5},
    )
    assert second.figure_ is first.figure_
    assert [text.get_text() for text in first.ax_.get_legend().get_texts()][1] == "other"
    assert second.area_.get_alpha() == 0.5
    assert to_hex(second.area_.get_facecolor()[0]) == "#000000"


def test_a_curve_of_a_million_points_is_drawn_with_few():
    fpr = np.linspace(0, 1, 1_000_001)
    display = ProCurveDisplay(fpr=fpr, pro=np.sqrt(fpr)).plot()
    assert len(display.line_.get_xdata()) <= 20_002
    assert len(display.area_.get_paths()[0].vertices) <= 40_010


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30_000), st.floats(0.1, 8))
def test_points_that_are_left_out_lie_between_near_ones(seed, n_points, power):
    rng = np.random.default_rng(seed)
    steps = rng.random((2, n_points)) ** power
    x, y = np.cumsum(steps, axis=1) / steps.sum(axis=1, keepdims=True)
    x, y = np.append(0, x), np.append(0, y)
    display = ProCurveDisplay(fpr=x, pro=y).plot(ax=Figure().subplots())
    kept_x, kept_y = display.line_.get_data()
    assert (kept_x[0], kept_y[0], kept_x[-1], kept_y[-1]) == (0, 0, x[-1], y[-1])
    nearest = np.searchsorted(kept_x + kept_y, x + y).clip(max=len(kept_x) - 1)
    assert np.abs(kept_x[nearest] - x).max() <= 1 / 5000
    assert np.abs(kept_y[nearest] - y).max() <= 1 / 5000


# Bad input.


@pytest.fixture
def blind(detector, monkeypatch):
    """A detector that must not be asked to look at images."""

    def look(*args, **kwargs):
        raise AssertionError("images were embedded before the arguments were checked")

    for name in ("predict_heatmap", "score_samples"):
        monkeypatch.setattr(detector, name, look)
    return detector


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [1, -1]}, r"y has the shape \(2,\) for 3 images; give one label for each"),
        ({"y": [0, 1, 1]}, "-1 is defective"),
        ({"masks": [None]}, "there are 1 masks for 3 images"),
        ({"masks": [None, None, np.zeros((5, 5))]}, r"masks\[2\] has the shape \(5, 5\), but its"),
        ({"ax": Figure().subplots(1, 2)}, "ax holds 2 axes for 3 images"),
        ({"vmax": 0.1}, r"vmax=0.1 must be a number above the threshold, \d"),
    ],
)
def test_bad_arguments_are_refused_before_images_are_embedded(blind, new, arguments, message):
    with pytest.raises(ValueError, match=message):
        HeatmapDisplay.from_estimator(blind, new[0][:3], **arguments)


@pytest.mark.parametrize(
    ("show", "arguments", "message"),
    [
        (
            ScoreDisplay,
            {"y": [1, -1]},
            r"y has the shape \(2,\) for 3 images; give one label for each",
        ),
        (ScoreDisplay, {"y": [2, 1, 1]}, "-1 is defective"),
        (PixelRocCurveDisplay, {"masks": [None]}, "there are 1 masks for 3 images"),
        (PixelRocCurveDisplay, {"masks": [None] * 3}, "no defective pixel"),
        (ProCurveDisplay, {"masks": [np.eye(5)] * 3}, r"masks\[0\] has the shape \(5, 5\), but"),
        (ProCurveDisplay, {"masks": [np.eye(96)] * 3, "max_fpr": 2}, "max_fpr must be"),
    ],
)
def test_bad_arguments_of_other_displays_are_refused_as_early(blind, new, show, arguments, message):
    with pytest.raises(ValueError, match=message):
        show.from_estimator(blind, new[0][:3], **arguments)


def test_a_mask_that_is_no_file_is_named(blind, new, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"masks\[1\]: there is no file .*missing.png"):
        HeatmapDisplay.from_estimator(blind, new[0][:2], masks=[None, tmp_path / "missing.png"])


@pytest.mark.parametrize("show", [HeatmapDisplay, ScoreDisplay])
def test_no_images_are_refused(detector, show):
    with pytest.raises(ValueError, match="X is empty"):
        show.from_estimator(detector, [])


@pytest.mark.parametrize(
    "show", [HeatmapDisplay, ScoreDisplay, PixelRocCurveDisplay, ProCurveDisplay]
)
def test_a_detector_that_is_not_fitted_is_refused(new, show):
    X, y, masks = new
    truth = y if show in (HeatmapDisplay, ScoreDisplay) else masks
    with pytest.raises(NotFittedError, match="not fitted"):
        show.from_estimator(PaDiM(), X, truth)


@pytest.mark.parametrize("show", [HeatmapDisplay, ScoreDisplay])
def test_a_detector_without_a_threshold_is_refused(parts, new, show):
    embedder = PatchEmbedder(image_size=64, weights=None, engine="torch")
    detector = PaDiM(embedder=embedder).partial_fit(parts.images[:4])
    with pytest.raises(NotFittedError, match="has no threshold"):
        show.from_estimator(detector, new[0])


def test_a_curve_needs_no_threshold(parts, new):
    embedder = PatchEmbedder(image_size=64, weights=None, engine="torch")
    detector = PaDiM(embedder=embedder).partial_fit(parts.images[:4])
    X, _, masks = new
    drawn = ProCurveDisplay.from_estimator(detector, X, masks).aupro
    detector.calibrate(parts.images[4:24])
    assert drawn == ProCurveDisplay.from_estimator(detector, X, masks).aupro


def test_a_detector_without_heatmaps_is_refused(new):
    with pytest.raises(TypeError, match="a IsolationForest, which has no predict_heatmap"):
        HeatmapDisplay.from_estimator(IsolationForest(), new[0])


def test_a_detector_of_embeddings_is_refused(new):
    embeddings = np.random.default_rng(0).normal(size=(20, 4, 4, 3))
    detector = PaDiM(embedder="passthrough").fit(embeddings)
    with pytest.raises(ValueError, match="takes embeddings, not images: use from_predictions"):
        HeatmapDisplay.from_estimator(detector, embeddings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heatmaps": np.zeros((2, 8, 8))}, "there are 2 heatmaps for 3 images"),
        ({"heatmaps": np.zeros((3, 8))}, r"heatmaps\[0\] has the shape \(8,\)"),
        ({"heatmaps": np.zeros((3, 0, 8))}, r"heatmaps\[0\] has the shape \(0, 8\)"),
        ({"heatmaps": np.full((3, 8, 8), np.nan)}, r"heatmaps\[0\] has NaN or infinite values"),
        ({"offset": -np.inf}, "offset=-inf must be finite"),
        ({"vmax": "5"}, "vmax='5' must be a number above the threshold, 4"),
        ({"images": []}, "X is empty"),
    ],
)
def test_heatmaps_that_fit_no_images_are_refused(images, heatmaps, changes, message):
    arguments = {"images": images, "heatmaps": heatmaps, "offset": -THRESHOLD} | changes
    with pytest.raises(ValueError, match=message):
        HeatmapDisplay.from_predictions(**arguments)


@pytest.mark.parametrize("scores", [[], [[1.0]], [np.nan]])
def test_scores_that_are_not_one_number_an_image_are_refused(scores):
    with pytest.raises(ValueError, match="scores must be one finite number an image"):
        ScoreDisplay.from_predictions(scores, offset=0.0)
    with pytest.raises(ValueError, match="calibration_scores must be one finite number"):
        ScoreDisplay.from_predictions([1.0], offset=0.0, calibration_scores=scores)


# Manners.


def test_matplotlibs_settings_are_left_alone(images, heatmaps, masks, pixels):
    before = dict(matplotlib.rcParams)
    HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, masks=masks)
    ScoreDisplay.from_predictions([1.0], offset=0.0)
    ProCurveDisplay.from_predictions(*pixels)
    PixelRocCurveDisplay.from_predictions(*pixels)
    assert dict(matplotlib.rcParams) == before


def test_what_was_given_is_left_as_it_was(images, heatmaps, masks):
    before = [array.copy() for array in (*images, *heatmaps, *masks)]
    HeatmapDisplay.from_predictions(images, heatmaps, offset=-THRESHOLD, masks=masks)
    for array, copy in zip((*images, *heatmaps, *masks), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "show",
    [
        lambda: HeatmapDisplay.from_estimator(PaDiM(), []),
        lambda: HeatmapDisplay.from_predictions([], [], offset=0),
        lambda: ScoreDisplay.from_estimator(PaDiM(), []),
        lambda: ScoreDisplay.from_predictions([], offset=0),
        lambda: ProCurveDisplay.from_estimator(PaDiM(), [], []),
        lambda: ProCurveDisplay.from_predictions([], []),
        lambda: PixelRocCurveDisplay.from_estimator(PaDiM(), [], []),
        lambda: PixelRocCurveDisplay.from_predictions([], []),
        lambda: ScoreDisplay(scores=np.ones(1), offset=0).plot(),
    ],
)
def test_without_matplotlib_the_error_names_the_extra(monkeypatch, show):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'skpadim\[plot\]'"):
        show()


# Real images.


def test_real_images_are_shown_with_their_masks(real_data):
    data = real_data("bottle")
    embedder = PatchEmbedder(image_size=128, engine="torch")
    detector = PaDiM(embedder=embedder).fit(data.X_train[:20])
    chosen = np.r_[:3, -3:0]
    X, y, masks = data.X_test[chosen], data.y_test[chosen], data.masks_test[chosen]
    display = HeatmapDisplay.from_estimator(detector, X, y, masks=masks)
    np.testing.assert_array_equal([outline is not None for outline in display.outlines_], y == -1)
    np.testing.assert_array_equal(
        [contour is not None for contour in display.contours_], detector.predict(X) == -1
    )
    display.figure_.canvas.draw()
