"""Files that cannot be read do not lose the work on the others, where that is asked for."""

import numpy as np
import pytest
from PIL import Image

from skpadim import PaDiM, PatchEmbedder
from skpadim.images import ImageSequence

WARNED = (
    r"^2 of 6 images could not be read: their scores are NaN, and they count as defective\. "
    r"X\[1\], .*1\.png', does not exist\. X\[4\], .*4\.png', is damaged or .*\. The reasons are in "
)


@pytest.fixture
def paths(parts, tmp_path):
    """Four good files, a missing one, and one that is damaged where no check looks."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, image in zip(paths, parts.images[24:], strict=False):
        Image.fromarray(image).save(path)
    content = bytearray(paths[4].read_bytes())
    content[len(content) // 2] ^= 255
    paths[4].write_bytes(content)
    paths[1].unlink()
    return paths


@pytest.fixture
def marked(paths):
    return ImageSequence(paths, on_error="mark")


BAD = np.array([False, True, False, False, True, False])


@pytest.fixture
def alone(paths, detector):
    """The scores of the others, without the bad ones."""
    return detector.score_samples([path for path, bad in zip(paths, BAD, strict=True) if not bad])


@pytest.fixture(autouse=True)
def small_batches(detector):
    detector.embedder.set_params(batch_size=2)
    yield
    detector.embedder.set_params(batch_size=32)


def test_scores_are_nan_where_an_image_cannot_be_read(detector, marked, alone):
    with pytest.warns(UserWarning, match=WARNED) as told:
        scores = detector.score_samples(marked)
    assert len(told) == 1
    np.testing.assert_array_equal(np.isnan(scores), BAD)
    np.testing.assert_allclose(scores[~BAD], alone, rtol=1e-6)
    assert marked.errors[1] == "does not exist."
    assert marked.errors[4].startswith("is damaged")


def test_what_cannot_be_read_is_never_good(detector, marked, alone):
    with pytest.warns(UserWarning, match=WARNED):
        decisions = detector.predict(marked)
    np.testing.assert_array_equal(decisions[BAD], -1)
    np.testing.assert_array_equal(decisions[~BAD], np.where(alone < detector.offset_, -1, 1))


@pytest.mark.parametrize("size", [None, 20, "image"])
def test_its_heatmap_is_nan_and_its_mask_is_true_everywhere(detector, marked, paths, size):
    with pytest.warns(UserWarning, match=WARNED):
        heatmaps = detector.predict_heatmap(marked, size=size)
    with pytest.warns(UserWarning, match=WARNED):
        masks = detector.predict_mask(marked, size=size)
    good = [path for path, bad in zip(paths, BAD, strict=True) if not bad]
    expected = iter(detector.predict_heatmap(good, size=size))
    for heatmap, mask, bad in zip(heatmaps, masks, BAD, strict=True):
        assert heatmap.shape == mask.shape
        assert heatmap.size > 0
        assert np.isnan(heatmap).all() == bad
        if bad:
            assert mask.all()
        else:
            np.testing.assert_allclose(heatmap, next(expected), rtol=1e-5)


def test_the_reason_stands_with_the_image(detector, marked):
    with pytest.warns(UserWarning, match=WARNED):
        inspections = list(detector.iter_inspect(marked))
    assert [inspection.error is not None for inspection in inspections] == BAD.tolist()
    assert inspections[1].error == marked.errors[1]
    assert inspections[4].error == marked.errors[4]
    assert np.isnan(inspections[4].score)
    assert inspections[4].decision == -1
    assert inspections[4].heatmap_at("image").shape == (96, 96)  # which its header told
    assert inspections[1].heatmap_at("image").shape == (64, 64)  # of which nothing is known


def test_the_mean_likelihood_is_that_of_the_others(detector, marked, paths):
    good = [path for path, bad in zip(paths, BAD, strict=True) if not bad]
    with pytest.warns(UserWarning, match=WARNED):
        assert detector.score(marked) == pytest.approx(detector.score(good), rel=1e-6)


def test_images_that_can_all_be_read_are_not_warned_of(detector, paths):
    good = [path for path, bad in zip(paths, BAD, strict=True) if not bad]
    marked = ImageSequence(good, on_error="mark")
    np.testing.assert_array_equal(detector.score_samples(marked), detector.score_samples(good))


def test_many_reasons_are_counted(detector, tmp_path):
    images = ImageSequence([tmp_path / f"{number}.png" for number in range(9)], on_error="mark")
    with pytest.warns(UserWarning, match=r"^9 of 9 .* X\[2\], .*does not exist\. And 6 more\."):
        assert np.isnan(detector.score_samples(images)).all()


@pytest.mark.parametrize("method", ["fit", "partial_fit", "calibrate"])
@pytest.mark.filterwarnings("ignore:2 of 6 images")
def test_learning_raises_all_the_same(detector, marked, method):
    model = PaDiM(embedder=detector.embedder)
    model.__dict__ |= {} if method == "fit" else detector.__dict__
    if method == "partial_fit":
        model = PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch"))
    with pytest.raises(ValueError, match=r"X\[1\], .* does not exist|2 of 6 scores are NaN"):
        getattr(model, method)(marked)


def test_fit_raises_where_the_damage_shows_late(detector, paths):
    late = ImageSequence([paths[0], paths[2], paths[4]], on_error="mark")
    with pytest.raises(ValueError, match=r"X\[2\], .*4\.png', is damaged"):
        PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch")).fit(late)


def test_embeddings_are_nan(detector, marked):
    embeddings = detector.embedder.transform(marked)
    np.testing.assert_array_equal(np.isnan(embeddings).all(axis=(1, 2, 3)), BAD)
    assert np.isfinite(embeddings[~BAD]).all()


def test_embeddings_of_bad_images_are_not_remembered(detector, paths, tmp_path, alone):
    model = PaDiM(embedder=detector.embedder)
    model.__dict__ |= {k: v for k, v in detector.__dict__.items() if k != "memory"}
    model.memory = str(tmp_path / "cache")
    for _ in range(2):
        marked = ImageSequence(paths, on_error="mark")
        with pytest.warns(UserWarning, match=WARNED):
            scores = model.score_samples(marked)
        np.testing.assert_array_equal(np.isnan(scores), BAD)
        np.testing.assert_allclose(scores[~BAD], alone, rtol=1e-6)
        assert sorted(marked.errors) == [1, 4]
