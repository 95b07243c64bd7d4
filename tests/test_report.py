"""The inspection page: what is written into the file, and what is refused."""

import base64
import io
import json
import re
import stat
import zlib
from copy import deepcopy
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

import skpadim
from skpadim import PaDiM, PatchEmbedder, report
from skpadim.images import ImageSequence


class Page(HTMLParser):
    """What a browser would make of the file: its elements, and the images stored in it."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(path.read_text("utf-8"))
        self.close()
        self.scripts = {
            dict(attributes).get("id"): text
            for (name, attributes), text in zip(self.elements, self.texts, strict=True)
            if name == "script"
        }
        self.data = json.loads(self.scripts["data"])
        self.images = self.data["images"]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, attrs))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def parts(self, rank):
        return [base64.b64decode(part) for part in self.scripts[f"image-{rank}"].split("\n")]

    def picture(self, rank):
        return Image.open(io.BytesIO(self.parts(rank)[0]))

    def levels(self, rank):
        return unpack(self.parts(rank)[1], self.data["heatmapSize"])

    def truth(self, rank):
        packed = self.parts(rank)[2]
        return unpack(packed, self.images[rank]["pictureSize"]).astype(bool) if packed else None


def unpack(packed, size):
    differences = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(size)
    return np.cumsum(np.cumsum(differences, axis=0, dtype=np.uint8), axis=1, dtype=np.uint8)


@pytest.fixture(scope="module")
def new(parts):
    return parts.images[24:]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "report.html"


def save_images(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


# What the file holds.


def test_the_path_of_the_file_is_returned(detector, new, path):
    assert report(detector, new, path=path) == path
    assert path.is_file()


def test_the_file_is_report_html_in_the_current_folder_by_default(
    detector, new, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    report(detector, new)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_images_are_sorted_with_the_most_anomalous_first(detector, new, path):
    page = Page(report(detector, new, path=path))
    scores = [image["score"] for image in page.images]
    assert scores == sorted(scores)
    assert sorted(image["index"] for image in page.images) == list(range(len(new)))


def test_images_with_equal_scores_stay_in_their_order(detector, new, path):
    page = Page(report(detector, new[[3, 3, 3]], path=path))
    assert [image["index"] for image in page.images] == [0, 1, 2]


def test_scores_and_threshold_have_all_their_digits(detector, new, path):
    page = Page(report(detector, new, path=path))
    scores = detector.score_samples(new)
    assert page.data["offset"] == detector.offset_
    for image in page.images:
        assert image["score"] == scores[image["index"]]


def test_labels_follow_their_images(detector, new, parts, path):
    page = Page(report(detector, new, parts.y[24:], path=path))
    for image in page.images:
        assert image["label"] == parts.y[24:][image["index"]]


def test_there_are_no_labels_where_none_are_given(detector, new, path):
    page = Page(report(detector, new, path=path))
    assert {image["label"] for image in page.images} == {None}


def test_heatmaps_are_the_detectors_at_half_size_within_half_a_level(detector, new, path):
    page = Page(report(detector, new, path=path))
    heatmaps = detector.predict_heatmap(new)
    halves = heatmaps.reshape(len(new), 32, 2, 32, 2).mean(axis=(2, 4))
    lowest, highest = page.data["lowest"], page.data["highest"]
    half_level = np.log(highest / lowest) / 510
    for rank, image in enumerate(page.images):
        stored = lowest * (highest / lowest) ** (page.levels(rank) / 255)
        expected = np.clip(halves[image["index"]], lowest, highest)
        assert np.abs(np.log(stored / expected)).max() <= half_level + 1e-5


def test_the_scale_of_heatmaps_reaches_from_half_of_the_lowest_peak_to_the_highest(
    detector, new, path
):
    page = Page(report(detector, new, path=path))
    peaks = detector.predict_heatmap(new).max(axis=(1, 2)).astype(float)
    assert page.data["highest"] == peaks.max()
    assert page.data["lowest"] == min(peaks.min(), -detector.offset_) / 2


@pytest.mark.parametrize("offset", [-1e-9, 5.0])
def test_the_scale_spans_three_decades_at_most(detector, new, path, offset, monkeypatch):
    monkeypatch.setattr(detector, "offset_", offset)
    page = Page(report(detector, new, path=path))
    assert page.data["lowest"] == pytest.approx(page.data["highest"] / 1000)


def test_what_a_crop_leaves_out_has_the_lowest_level(parts, new, path):
    cropped = PaDiM(embedder=PatchEmbedder(image_size=(64, 80), crop_size=(48, 64), engine="torch"))
    page = Page(report(cropped.fit(parts.images[:24]), new, path=path))
    levels = page.levels(0)
    assert levels.shape == (32, 40)
    inside = np.zeros((32, 40), dtype=bool)
    inside[4:28, 4:36] = True
    assert (levels[~inside] == 0).all()
    assert levels[inside].max() > 200


@pytest.mark.filterwarnings("ignore:.*the training images:UserWarning")
def test_images_keep_their_shape_and_are_reduced_to_image_size(detector, path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, size, np.uint8) for size in [(90, 60, 3), (30, 100), (20, 10)]]
    page = Page(report(detector, images, path=path, image_size=45))
    sizes = {image["index"]: tuple(image["size"]) for image in page.images}
    assert sizes == {0: (90, 60), 1: (30, 100), 2: (20, 10)}
    shown = {image["index"]: page.picture(rank).size for rank, image in enumerate(page.images)}
    assert shown == {0: (30, 45), 1: (45, 14), 2: (10, 20)}


def test_pictures_look_like_their_images(detector, new, path):
    page = Page(report(detector, new, path=path))
    for rank, image in enumerate(page.images):
        shown = np.asarray(page.picture(rank).convert("RGB"), dtype=float)
        # Root mean square error that WebP of quality 80 has on these noisy images.
        assert np.sqrt(np.mean((shown - new[image["index"]]) ** 2)) < 8


def test_masks_come_as_arrays_paths_or_none(detector, new, parts, tmp_path):
    masks = parts.masks[24:]
    paths = save_images(tmp_path / "masks", 255 * masks.astype(np.uint8))
    mixed = [path if mask.any() else None for path, mask in zip(paths, masks, strict=True)]
    for name, form in [("a", masks), ("b", [*(255 * masks.astype(int))]), ("c", mixed)]:
        page = Page(report(detector, new, masks=form, path=tmp_path / name))
        assert page.data["hasMasks"]
        for rank, image in enumerate(page.images):
            expected = masks[image["index"]]
            shown = page.truth(rank)
            assert (shown is None) == (not expected.any())
            if shown is not None:
                np.testing.assert_array_equal(shown, expected)


def test_no_defect_of_a_mask_is_too_small_to_be_kept(detector, new, path):
    masks = np.zeros((len(new), 384, 384), dtype=bool)
    masks[:, 301, 17] = True
    page = Page(report(detector, new, masks=masks, path=path))
    for rank in range(len(new)):
        assert np.argwhere(page.truth(rank)).tolist() == [[301 // 4, 17 // 4]]


def test_files_are_called_by_their_folder_and_name(detector, new, tmp_path):
    paths = save_images(tmp_path / "line 3" / "scratch", new[:2])
    page = Page(report(detector, paths, path=tmp_path / "report.html"))
    names = {image["index"]: image["name"] for image in page.images}
    assert names == {0: "scratch/0.png", 1: "scratch/1.png"}


def test_images_in_memory_are_called_by_their_index(detector, new, path):
    page = Page(report(detector, new, path=path))
    assert all(image["name"] == f"X[{image['index']}]" for image in page.images)


def test_markup_in_titles_and_file_names_stays_text(detector, new, tmp_path):
    title = "</title><script>hacked = 1</script>"
    folder = tmp_path / "<script>hacked = 1<"
    (image,) = save_images(folder, new[:1])
    image = image.rename(folder / "script><!--<img src=x onerror='hacked = 1'>.png")
    plain = Page(report(detector, new[:1], path=tmp_path / "plain.html"))
    page = Page(report(detector, [image], path=tmp_path / "report.html", title=title))
    assert [name for name, _ in page.elements] == [name for name, _ in plain.elements]
    assert page.images[0]["name"] == f"{folder.name}/{image.name}"
    assert title in map(str.strip, page.texts)


def test_a_file_name_that_is_no_unicode_can_be_written(detector, new, tmp_path):
    (image,) = save_images(tmp_path, new[:1])
    image = image.rename(tmp_path / "part\udcff.png")
    page = Page(report(detector, [image], path=tmp_path / "report.html", title=image.name))
    assert page.images[0]["name"].endswith("part\udcff.png")


def test_the_page_refers_to_nothing_outside_itself(detector, new, path):
    text = report(detector, new, path=path).read_text("utf-8")
    addresses = set(re.findall(r"\w+://[^\s\"'<>]*", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, which is not fetched


@pytest.mark.filterwarnings("ignore:.*the training images:UserWarning")
def test_an_image_of_256_pixels_takes_less_than_20_kilobytes(detector, path):
    many = skpadim.datasets.make_inspection_images(8, 8, random_state=0).images
    one = report(detector, many[:1], path=path).stat().st_size
    all_of_them = report(detector, many, path=path, overwrite=True).stat().st_size
    assert (all_of_them - one) / (len(many) - 1) < 20_000


def test_files_may_be_read_by_whoever_may_read_files_made_here(detector, new, tmp_path):
    other = tmp_path / "other"
    other.touch()
    written = report(detector, new, path=tmp_path / "report.html")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_batches_do_not_change_the_page(new, parts, tmp_path):
    pages = []
    for batch_size in (4, 32):
        detector = PaDiM(
            embedder=PatchEmbedder(image_size=64, engine="torch", batch_size=batch_size)
        )
        detector.fit(parts.images[:24]).offset_ = -10.0
        page = Page(report(detector, new, path=tmp_path / f"{batch_size}.html"))
        pages.append(page)
    assert [i["index"] for i in pages[0].images] == [i["index"] for i in pages[1].images]
    for rank in range(len(new)):
        assert pages[0].parts(rank)[0] == pages[1].parts(rank)[0]


def test_progress_is_shown_where_the_detector_is_verbose(detector, new, path, monkeypatch, capsys):
    monkeypatch.setattr(detector, "verbose", 1)
    report(detector, new, path=path)
    assert f"{len(new)}/{len(new)}" in capsys.readouterr().err


def test_a_threshold_that_was_set_by_hand_is_the_pages(detector, new, path, monkeypatch):
    monkeypatch.setattr(detector, "offset_", np.float32(-12))
    assert Page(report(detector, new, path=path)).data["offset"] == -12.0


# What is refused, before any image is scored.


@pytest.fixture
def unscored(monkeypatch):
    def fail(*arguments):
        pytest.fail("images were scored before the error")

    monkeypatch.setattr(PatchEmbedder, "iter_embed", fail)


@pytest.mark.usefixtures("unscored")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": []}, ValueError, "X is empty"),
        ({"X": ["no such.png"]}, ValueError, r"X\[0\], 'no such.png', does not exist"),
        ({"y": [1, -1]}, ValueError, r"y has the shape \(2,\) for 12 images"),
        ({"y": [0] * 6 + [1] * 6}, ValueError, r"y has the labels \[0, 1\].*1 - 2 \* y"),
        ({"masks": [None]}, ValueError, "1 masks for 12 images"),
        ({"masks": "masks.png"}, TypeError, r"one path, 'masks.png', but must be a list"),
        (
            {"masks": [None] * 11 + [np.zeros((4, 4, 3))]},
            ValueError,
            r"masks\[11\] has the shape \(4, 4, 3\)",
        ),
        ({"masks": [["a"]] * 12}, ValueError, r"masks\[0\] has the shape \(1,\) and dtype <U1"),
        (
            {"masks": [None, "no such.png", *[None] * 10]},
            FileNotFoundError,
            r"masks\[1\]: there is no file no such.png",
        ),
        ({"image_size": 0}, ValueError, "image_size must be a positive integer"),
        ({"image_size": True}, ValueError, "image_size must be a positive integer.*True"),
        ({"y": "page.html"}, TypeError, "y is a path, 'page.html', .* write path='page.html'"),
        ({"image_size": 99.5}, ValueError, "image_size must be a positive integer.*99.5"),
        ({"title": None}, TypeError, "title must be a str; got None"),
        ({"detector": PatchEmbedder()}, TypeError, "detector has type PatchEmbedder.*best_estim"),
        ({"detector": PaDiM()}, NotFittedError, "not fitted"),
    ],
)
def test_bad_arguments_are_refused_and_leave_no_file(
    detector, new, tmp_path, arguments, error, message
):
    given = {"detector": detector, "X": new, "path": tmp_path / "report.html", **arguments}
    with pytest.raises(error, match=message):
        report(**given)
    assert list(tmp_path.iterdir()) == []


def test_a_detector_without_threshold_is_refused(new, path, monkeypatch):
    uncalibrated = PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch")).partial_fit(new)
    monkeypatch.setattr(PatchEmbedder, "iter_embed", None)
    with pytest.raises(NotFittedError, match=r"no threshold.*calibrate"):
        report(uncalibrated, new, path=path)


@pytest.mark.usefixtures("unscored")
def test_a_threshold_that_is_no_number_is_refused(detector, new, path, monkeypatch):
    monkeypatch.setattr(detector, "offset_", -np.inf)
    with pytest.raises(ValueError, match="offset_ is -inf; it must be a finite number"):
        report(detector, new, path=path)


@pytest.mark.usefixtures("unscored")
def test_a_detector_of_embeddings_is_refused(new, path):
    embeddings = np.random.default_rng(0).normal(size=(30, 5))
    with pytest.raises(ValueError, match=r"takes embeddings.*a report shows images"):
        report(PaDiM(embedder="passthrough").fit(embeddings), new, path=path)


@pytest.mark.usefixtures("unscored")
def test_a_file_that_exists_is_kept(detector, new, path):
    path.write_text("precious")
    with pytest.raises(FileExistsError, match=r"report.html' exists; give another path, or over"):
        report(detector, new, path=path)
    assert path.read_text() == "precious"


def test_a_file_that_exists_is_replaced_when_asked(detector, new, path):
    path.write_text("outdated")
    report(detector, new, path=path, overwrite=True)
    assert Page(path).images
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("unscored")
def test_a_folder_is_no_file(detector, new, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        report(detector, new, path=tmp_path, overwrite=True)


@pytest.mark.usefixtures("unscored")
def test_a_missing_folder_is_told(detector, new, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist; make .*missing first"):
        report(detector, new, path=tmp_path / "missing" / "report.html")


@pytest.mark.usefixtures("unscored")
def test_a_folder_that_cannot_be_written_to_is_told(detector, new):
    # Not even the administrator makes files here.
    with pytest.raises(OSError, match=r"path='/proc/report.html' cannot be written"):
        report(detector, new, path="/proc/report.html")


def test_an_interrupt_leaves_the_folder_as_it_was(detector, new, path, monkeypatch):
    path.write_text("outdated")

    in_batches = deepcopy(detector).set_params(embedder__batch_size=4)
    iter_embed = PatchEmbedder.iter_embed

    def interrupted(*arguments):
        yield next(iter_embed(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(PatchEmbedder, "iter_embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report(in_batches, new, path=path, overwrite=True)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "outdated"


def test_a_file_that_disappears_on_the_way_is_told_and_leaves_nothing(detector, new, tmp_path):
    paths = save_images(tmp_path / "images", new)
    images = ImageSequence(paths)
    paths[5].unlink()
    (tmp_path / "pages").mkdir()
    with pytest.raises(ValueError, match=r"X\[5\], .*5.png', does not exist"):
        report(detector, images, path=tmp_path / "pages" / "report.html")
    assert list((tmp_path / "pages").iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_images_without_any_anomaly_make_a_page(new, path):
    same = np.repeat(new[:1], 12, axis=0)
    embedder = PatchEmbedder(image_size=64, engine="torch")
    page = Page(report(PaDiM(embedder=embedder, false_alarm_rate=0.1).fit(same), same, path=path))
    assert [image["score"] for image in page.images] == [0] * 12
    assert (page.data["lowest"], page.data["highest"]) == (0.001, 1.0)
