"""Training that cannot be right is told by name, and so are images that are unlike it."""

import warnings
from copy import deepcopy

import joblib
import numpy as np
import pytest
import torch
from PIL import Image

from skpadim import PaDiM, PatchEmbedder, PatchGaussian, load, save
from skpadim._suspects import suspects
from skpadim._training_images import ImageWarning
from skpadim.cli import main

few = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")


with torch.random.fork_rng():
    torch.manual_seed(0)
    NETWORK = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4))


def small(**parameters):
    """Return a detector whose network is quickly built."""
    embedder = PatchEmbedder(NETWORK, layers=["0"], image_size=32, engine="torch", batch_size=3)
    return PaDiM(embedder=embedder, **parameters)


def told(call):
    """Return the warnings of a call, without that of few images."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    messages = [str(warning.message) for warning in caught]
    return [message for message in messages if not message.startswith("false_alarm_rate=")]


@pytest.fixture(scope="module")
def pictures():
    """Twelve pictures in colour, redder than blue, of 40 x 40 pixels."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(60, 120, size=(12, 40, 40, 3), dtype=np.uint8)
    pictures[..., 0] += 40
    return pictures


@pytest.fixture(scope="module")
def fitted(pictures):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="false_alarm_rate=")
        return small().fit(pictures[:9])


@pytest.fixture(scope="module")
def named_fitted(pictures):
    """Fitted with a backbone that a file can name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="false_alarm_rate=")
        return PaDiM(embedder=PatchEmbedder(image_size=32, engine="torch")).fit(pictures[:9])


@pytest.fixture(scope="module")
def grey_fitted(pictures):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="false_alarm_rate=")
        return small().fit(pictures[:9, ..., 0])


def spoilt(pictures, **others):
    """Return pictures of which some, by their index, are others."""
    images = list(pictures)
    for name, image in others.items():
        images[int(name[1:])] = image
    return images


# At fit.


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_images_that_are_alike_are_not_warned_of(pictures, method):
    assert told(lambda: getattr(small(), method)(pictures)) == []


UNLIKE = {
    "another size": (
        lambda p: spoilt(p, i3=p[3][:30, :30]),
        r"1 of 12 training images have another size than the rest \(40 x 40\): X\[3\] \(30 x 30\)",
    ),
    "another aspect ratio": (
        lambda p: spoilt(p, i3=p[3][:30], i5=p[5][:20]),
        r"2 of 12 .* another size and aspect ratio than the rest \(40 x 40\): X\[3\] \(30 x 40\) "
        r"and X\[5\] \(20 x 40\)",
    ),
    "16 bits": (
        lambda p: spoilt(p, i0=p[0].astype(np.uint16) * 257),
        r"1 of 12 .* another depth than the rest \(8-bit\): X\[0\] \(16-bit\)",
    ),
    "floating point": (
        lambda p: spoilt(p, i0=p[0] / 255),
        r"1 of 12 .* another depth than the rest \(8-bit\): X\[0\] \(floating-point\)",
    ),
    "grey among colour": (
        lambda p: spoilt(p, i7=p[7, ..., 0]),
        r"1 of 12 training images are grey, but the rest are in colour: X\[7\]",
    ),
    "colour among grey": (
        lambda p: spoilt(p[..., 0], i7=p[7]),
        r"1 of 12 training images are in colour, but the rest are grey: X\[7\]",
    ),
    "black": (
        lambda p: spoilt(p, i2=np.zeros_like(p[2])),
        r"1 of 12 training images are all black: X\[2\]\. Leave them out\.$",
    ),
    "one colour": (
        lambda p: spoilt(p, i2=np.full_like(p[2], 90)),
        r"1 of 12 training images are all of one colour: X\[2\]",
    ),
    "8 bits in 16": (
        lambda p: p.astype(np.uint16),
        r"12 of 12 .* all black: X\[0\], X\[1\], X\[2\] and 9 more.*convert them with astype",
    ),
    "12 bits in 16": (
        lambda p: p.astype(np.uint16) * 16,
        r"no training image has a pixel brighter than 9 of 255.*images of 12 bits",
    ),
    "copies": (
        lambda p: spoilt(p, i9=p[1], i4=p[1]),
        r"2 of 12 .* exact copies of others: X\[4\] \(of X\[1\]\) and X\[9\] \(of X\[1\]\)",
    ),
}


@few
@pytest.mark.parametrize(("spoil", "message"), UNLIKE.values(), ids=UNLIKE)
def test_training_images_unlike_the_rest_are_named_once(pictures, spoil, message):
    # With a share of defects that is known, none is looked for.
    with pytest.warns(UserWarning, match=message) as warned:
        small(contamination=0.1).fit(spoil(pictures))
    assert len(warned) == 1
    assert warned[0].filename == __file__


@few
def test_files_are_named_by_their_paths(pictures, tmp_path):
    paths = [tmp_path / f"{i}\n.png" for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    paths[6].write_bytes(paths[2].read_bytes())
    with pytest.warns(UserWarning, match="exact copies") as warned:
        small().fit(paths)
    message = str(warned.pop(ImageWarning).message)
    assert f"{str(paths[6])!r} (of {str(paths[2])!r})" in message
    assert "\n" not in message


@few
def test_indices_are_those_of_the_images_that_were_given(pictures):
    y = [-1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    with pytest.warns(UserWarning, match=r"of 11 .* X\[8\] \(of X\[5\]\)"):
        small().fit(spoilt(pictures, i8=pictures[5]), y)


def test_sizes_that_all_differ_are_no_fault(pictures):
    images = [picture[: 30 + i, : 30 + i] for i, picture in enumerate(pictures)]
    assert told(lambda: small().fit(images)) == []


@few
def test_partial_fit_warns_of_images_that_came_before_and_of_others(pictures):
    detector = small().partial_fit(pictures[:6])
    with pytest.warns(UserWarning, match=r"1 of 3 .* copies .* X\[0\] \(seen before\)"):
        detector.partial_fit(pictures[5:8])
    with pytest.warns(UserWarning, match="another aspect ratio than the training images"):
        detector.partial_fit(pictures[8:, :30])
    assert told(lambda: detector.predict_heatmap(pictures[8:, :30])) == []


@few
@pytest.mark.parametrize("how", ["PatchGaussian", "PaDiM"])
def test_copies_of_embeddings_are_named_but_not_those_of_plain_samples(how):
    def detector():
        return PatchGaussian() if how == "PatchGaussian" else PaDiM(embedder="passthrough")

    X = np.random.default_rng(0).normal(size=(20, 3, 2))
    X[7] = X[4]
    with pytest.warns(UserWarning, match=r"1 of 20 .* copies of others: X\[7\] \(of X\[4\]\)"):
        detector().fit(X)
    assert told(lambda: detector().fit(X[:, 0])) == []


# At prediction.

OTHERS = {
    "another aspect ratio": (
        lambda p: p[:, :30],
        r"3 of 3 images have another aspect ratio than the training images \(40 x 40\): X\[0\] "
        r"\(30 x 40\), X\[1\]",
    ),
    "another size": (
        lambda p: p[:, :30, :30],
        r"3 of 3 images have another size than the training images \(40 x 40\): X\[0\] \(30 x 30\)",
    ),
    "grey": (
        lambda p: p[..., 0],
        r"3 of 3 images are grey, but the training images are in colour: X\[0\], X\[1\] and X\[2\]",
    ),
    "grey in three channels": (
        lambda p: np.repeat(p[..., :1], 3, axis=3),
        "3 of 3 images are grey, but the training images are in colour",
    ),
    "16 bits": (
        lambda p: p.astype(np.uint16) * 257,
        r"another depth than the training images \(8-bit\): X\[0\] \(16-bit\)",
    ),
    "BGR": (
        lambda p: p[..., ::-1],
        r"red minus blue is -\d+ on average in the images, and \d+ in the training .*::-1\]",
    ),
}
METHODS = {
    "predict": lambda d, X: d.predict(X),
    "predict_heatmap": lambda d, X: d.predict_heatmap(X),
    "iter_inspect": lambda d, X: list(d.iter_inspect(X)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("change", "message"), OTHERS.values(), ids=OTHERS)
def test_images_unlike_the_training_images_are_told_once(fitted, pictures, change, message, method):
    with pytest.warns(UserWarning, match=message) as warned:
        METHODS[method](fitted, change(pictures[9:]))
    assert len(warned) == 1
    assert warned[0].filename == __file__


def test_workers_tell_what_they_see(fitted, pictures):
    detector = deepcopy(fitted).set_params(embedder__batch_size=1)
    with joblib.parallel_config("threading", n_jobs=2), pytest.warns(UserWarning, match="grey"):
        detector.predict(pictures[9:, ..., 0])


ALIKE = {
    "as at fit": lambda p: p,
    "floating point": lambda p: p / 255,
    "Pillow": lambda p: [Image.fromarray(picture) for picture in p],
    "ready for the network": lambda p: [np.asarray(Image.fromarray(q).resize((32, 32))) for q in p],
    "brighter": lambda p: p + 60,
    "of another light": lambda p: np.stack([p[..., 0] - 30, p[..., 1], p[..., 2]], axis=-1),
}


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_images_like_the_training_images_are_not_warned_of(fitted, pictures, change):
    assert told(lambda: fitted.predict(change(pictures[9:]))) == []


def test_grey_images_are_alike_in_one_channel_and_in_three(grey_fitted, pictures):
    grey = pictures[9:, ..., 0]
    assert told(lambda: grey_fitted.predict(np.repeat(grey[..., None], 3, axis=3))) == []
    assert told(lambda: grey_fitted.predict(grey)) == []
    assert "images are in colour, but" in told(lambda: grey_fitted.predict(pictures[9:]))[0]


def test_a_model_file_remembers_the_training_images(named_fitted, pictures, tmp_path):
    restored = load(save(named_fitted, tmp_path / "model"))
    assert restored._training_images == named_fitted._training_images
    np.testing.assert_array_equal(restored._known_hashes, named_fitted._known_hashes)
    with pytest.raises(ValueError, match=r"trained on 1 of the 4 .*, X\[0\]:"):
        restored.calibrate(pictures[8:])
    with pytest.warns(UserWarning, match="another aspect ratio"):
        restored.predict(pictures[9:, :30])


def test_the_command_tells_each_kind_once(named_fitted, pictures, tmp_path, monkeypatch, capfd):
    model = save(named_fitted, tmp_path / "model")
    for i, picture in enumerate(pictures[9:]):
        Image.fromarray(picture[:30] if i else picture).save(tmp_path / f"{i}.png")
    arguments = ["predict", str(model), str(tmp_path), "--batch-size", "1", "--quiet"]
    monkeypatch.setattr("sys.argv", ["skpadim", *arguments, "--engine", "torch"])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit) as status:
            main()
    assert status.value.code == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Warning"]
    assert f"(40 x 40): {str(tmp_path / '1.png')!r} (30 x 40)" in lines[0]


# Calibration.


@pytest.fixture(params=["fit", "partial_fit", "in shards", "with memory"])
def learnt(request, pictures, tmp_path):
    """A detector that has learnt from the first nine pictures."""
    detector = small()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="false_alarm_rate=")
        if request.param == "partial_fit":
            return detector.partial_fit(pictures[:4]).partial_fit(pictures[4:9])
        if request.param == "in shards":
            with joblib.parallel_config("threading", n_jobs=2):
                return detector.fit(pictures[:9])
        if request.param == "with memory":
            detector.set_params(memory=str(tmp_path / "memory"))
            detector.fit(pictures[:9])  # the second time, nothing is embedded
        return detector.fit(pictures[:9])


@few
def test_calibration_refuses_images_that_the_model_has_learnt_from(learnt, pictures, tmp_path):
    before = dict(vars(learnt))
    message = r"trained on 2 of the 5 samples to calibrate with, X\[0\] and X\[1\]: it finds them"
    with pytest.raises(ValueError, match=message):
        learnt.calibrate(pictures[7:])
    assert vars(learnt) == before
    path = tmp_path / "copy.png"
    Image.fromarray(pictures[4]).save(path)
    with pytest.raises(ValueError, match=f"1 of the 1 samples to calibrate with, '{path}'"):
        learnt.calibrate([path])
    learnt.calibrate(pictures[9:])
    labelled = learnt.calibrate(pictures[8:], [-1, 1, 1, 1])
    assert labelled.calibration_scores_.shape == (3,)


@few
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("how", ["PatchGaussian", "PaDiM"])
@pytest.mark.parametrize("shape", [(30, 4), (30, 3, 4)])
def test_calibration_refuses_embeddings_that_the_model_has_learnt_from(shape, how, method):
    X = np.random.default_rng(0).normal(size=shape)
    detector = PatchGaussian() if how == "PatchGaussian" else PaDiM(embedder="passthrough")
    getattr(detector, method)(X[:20])
    with pytest.raises(ValueError, match=r"1 of the 10 samples to calibrate with, X\[1\]"):
        detector.calibrate(X[18:], [-1, 1] + [1] * 9 + [-1])
    detector.calibrate(X[20:])


@few
def test_calibration_warns_of_copies(fitted, pictures):
    with pytest.warns(UserWarning, match=r"1 of 3 calibration samples .* X\[2\] \(of X\[0\]\)"):
        deepcopy(fitted).calibrate(pictures[[9, 10, 9]])


def test_the_command_leaves_the_model_where_it_knows_the_images(
    named_fitted, pictures, tmp_path, monkeypatch, capfd
):
    model = save(named_fitted, tmp_path / "model")
    content = model.read_bytes()
    (tmp_path / "good").mkdir()
    for i, picture in enumerate(pictures[8:]):
        Image.fromarray(picture).save(tmp_path / "good" / f"{i}.png")
    arguments = ["calibrate", str(model), str(tmp_path / "good"), "--engine", "torch"]
    monkeypatch.setattr("sys.argv", ["skpadim", *arguments])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as status:
        main()
    assert status.value.code == 2
    assert "trained on 1 of the 4 samples" in capfd.readouterr().err
    assert model.read_bytes() == content


@few
def test_models_that_do_not_know_their_images_calibrate_with_any(fitted, pictures):
    older = deepcopy(fitted)
    del older._known_hashes, older._training_images
    assert told(lambda: older.calibrate(pictures[:9])) == []
    assert told(lambda: older.predict(pictures[:9, :30])) == []


# Defects among good images.


def clean_scores(n, seed=0):
    """Return scores of good samples, the lowest of which are often 1.4 times the median."""
    return -12 * np.exp(np.random.default_rng(seed).normal(0, 0.15, n))


@pytest.mark.parametrize("n", [10, 19, 40, 209])
def test_scores_of_good_samples_are_not_suspect(n):
    false = sum(len(suspects(clean_scores(n, seed))) > 0 for seed in range(1000))
    assert false <= 10  # that is 1 % of the fits


def test_scores_far_below_the_others_are_suspect_the_worst_one_first():
    scores = clean_scores(40)
    scores[[5, 17, 30]] = -38, -42, -35
    assert suspects(scores).tolist() == [17, 5, 30]


def test_a_tenth_of_defects_does_not_hide_them():
    scores = clean_scores(100)
    scores[10:20] = np.linspace(-36, -48, 10)
    assert sorted(suspects(scores)) == list(range(10, 20))


@pytest.mark.parametrize(
    "scores",
    [[-1.0] * 9 + [-99.0], [0.0] * 20, [np.nan] * 20, [-np.inf] * 20, [0.0] * 6 + [-1.0] * 14],
    ids=["one of ten", "all alike", "not a number", "infinite", "some at the mean"],
)
def test_odd_scores_raise_nothing(scores):
    found = suspects(np.array(scores))
    assert found.tolist() == ([9] if scores[-1] == -99 else [])


@few
def test_defective_training_images_are_named_by_fit_and_calibrate(parts, fitted):
    images = parts.images[:24].copy()
    images[4, 12:30, 12:30] = 255, 0, 0
    images[11, 60:80, 60:80] = 0, 0, 255
    with pytest.warns(UserWarning, match=r"2 of 24 training .* defective .*X\[(4|11)\] \(-\d"):
        small().fit(images)
    detector = small().fit(parts.images[24:30])
    with pytest.warns(UserWarning, match=r"2 of 24 calibration samples look defective"):
        detector.calibrate(images)


@few
@pytest.mark.parametrize("how", ["PatchGaussian", "PaDiM"])
def test_defective_embeddings_are_named_but_not_plain_samples(how):
    def detector():
        return PatchGaussian() if how == "PatchGaussian" else PaDiM(embedder="passthrough")

    X = np.random.default_rng(0).normal(size=(40, 9, 2))
    X[7] += 40
    with pytest.warns(UserWarning, match=r"1 of 40 .* defective by their scores: X\[7\] \(-"):
        detector().fit(X)
    assert told(lambda: detector().fit(X[:, 0])) == []
    assert told(lambda: detector().set_params(contamination=0.1).fit(X)) == []


@pytest.mark.parametrize("category", ["bottle", "toothbrush"])
def test_real_good_images_are_not_warned_of(real_data, category):
    data = real_data(category)
    detector = PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch"))
    assert told(lambda: detector.fit(data.X_train[:40])) == []


def test_broken_bottles_among_good_ones_are_named(real_data):
    data = real_data("bottle")
    broken = [path for path in data.X_test if "broken_large" in str(path)][:3]
    with pytest.warns(UserWarning, match=r"of 40 .*look defective.*broken_large"):
        PaDiM(embedder=PatchEmbedder(engine="torch")).fit([*data.X_train[:37], *broken])
