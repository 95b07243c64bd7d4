"""The command: what it prints and writes, what it refuses, and how it ends."""

import csv
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

import skpadim
from skpadim import Inspection, PaDiM, PatchEmbedder
from skpadim._model_files import checksum
from skpadim.cli._commands import commands
from skpadim.cli._results import Lines, _Result, row_of, to_json
from skpadim.cli._text import from_cell, to_cell, visible
from skpadim.cli._watch import NewFiles
from skpadim.cli._words import in_words
from skpadim.datasets import load_mvtec_ad, read_masks
from skpadim.images import ImageSequence
from skpadim.images._frames import Frame, iter_frames

COMMAND = [sys.executable, "-m", "skpadim"]

# A second less for each command: OpenVINO compiles a network each time.
TORCH = {name: {"engine": "torch"} for name in commands.commands}


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)), default_map=TORCH)


@contextmanager
def start(*arguments, **streams):
    """Start the command; it is over in the end, also where a test has failed meanwhile."""
    command = [*COMMAND, *map(str, arguments), "--engine", "torch"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **streams
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def save_image(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "part.skpadim"
    result = run("fit", folder / "train", "-o", path, "--image-size", 96)
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    return path


@pytest.fixture
def deceptive(tmp_path):
    """Passes the check, with all its checksums: only decoding tells that it has no pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", crc32(kind + content))
        )

    path = tmp_path / "deceptive.png"
    header = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    no_pixels = b"\xff" * 100
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", no_pixels)
        + chunk(b"IEND", b"")
    )
    ImageSequence([path])
    return path


def rows_of(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def torch_model(model):
    detector = skpadim.load(model)
    detector.embedder.set_params(engine="torch")
    return detector


# fit and info


def test_fit_saves_the_detector_that_python_would_fit(folder, tmp_path):
    options = ["--image-size", "48x64", "--n-components", 20, "--false-alarm-rate", 0.1]
    options += ["--random-state", 3, "--compact", "--batch-size", 7]
    result = run("fit", folder / "train", "-o", tmp_path / "a.skpadim", *options)
    assert result.exit_code == 0
    assert result.stdout == ""
    embedder = PatchEmbedder(image_size=(48, 64), engine="torch", batch_size=7)
    expected = PaDiM(
        embedder=embedder, n_components=20, false_alarm_rate=0.1, random_state=3, compact=True
    ).fit([folder / f"train/good/{index}.png" for index in range(24)])
    fitted = skpadim.load(tmp_path / "a.skpadim")
    assert fitted.offset_ == expected.offset_
    np.testing.assert_array_equal(fitted.gaussian_.factor_, expected.gaussian_.factor_)


def test_fit_keeps_nothing_of_the_machine_in_the_model(folder, tmp_path):
    path = tmp_path / "a.skpadim"
    run("fit", folder / "train", "-o", path, "--image-size", 32, "--device", "cpu", "--n-jobs", 1)
    fitted = skpadim.load(path)
    assert (fitted.embedder.device, fitted.embedder.engine) == ("auto", "auto")
    assert (fitted.n_jobs, fitted.verbose) == (None, 0)


def test_fit_leaves_a_model_that_is_there(folder, tmp_path):
    path = tmp_path / "a.skpadim"
    path.write_text("mine")
    result = run("fit", folder / "train", "-o", path)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert path.read_text() == "mine"


def test_fit_names_a_bad_image_and_what_is_wrong(folder, tmp_path, broken):
    save_image(np.zeros((8, 8), np.uint8), tmp_path / "good.png")
    result = run("fit", tmp_path, "-o", tmp_path / "a.skpadim")
    assert result.exit_code == 2
    assert f"Error: {str(broken)!r}, is not an image" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "a.skpadim").exists()


@pytest.mark.parametrize("size", ["0", "x64", "64x", "large", "-3"])
def test_fit_refuses_a_size_that_is_none(folder, tmp_path, size):
    result = run("fit", folder, "-o", tmp_path / "a.skpadim", f"--image-size={size}")
    assert result.exit_code == 2
    assert "HEIGHTxWIDTH" in result.stderr


def test_info_tells_what_was_fitted(model):
    result = run("info", model)
    assert result.exit_code == 0
    offset = skpadim.load(model).offset_
    for text in ("efficientnet_lite0", "96 x 96 pixels", "24 images", f"{offset:.4f}"):
        assert text in result.stdout
    header = json.loads(run("info", model, "--json").stdout)
    assert header["detector"]["offset_"] == offset


def test_info_refuses_what_is_no_model(broken):
    result = run("info", broken)
    assert result.exit_code == 2
    assert str(broken) in result.stderr


# predict


def test_scores_and_decisions_are_those_of_python(model, folder):
    result = run("predict", model, folder / "test", "--jsonl")
    assert result.exit_code == 0
    rows = rows_of(result)
    paths = [str(folder / f"test/bad/{index}.png") for index in range(30, 36)]
    paths += [str(folder / f"test/good/{index}.png") for index in range(24, 30)]
    assert [row["path"] for row in rows] == paths
    detector = torch_model(model)
    np.testing.assert_array_equal([row["score"] for row in rows], detector.score_samples(paths))
    decisions = np.where(detector.predict(paths) == 1, "good", "defective")
    assert [row["decision"] for row in rows] == decisions.tolist()
    assert {row["threshold"] for row in rows} == {detector.offset_}
    assert {row["error"] for row in rows} == {None}


@pytest.mark.filterwarnings("ignore:.*the training images:UserWarning")
def test_scores_do_not_depend_on_the_kind_of_file(parts, model, tmp_path):
    grey = parts.images[0][..., 0]
    paths = [save_image(grey, tmp_path / "grey.png"), tmp_path / "deep.png", tmp_path / "large.jpg"]
    Image.fromarray(grey.astype(np.uint16) * 257).save(paths[1])
    Image.fromarray(parts.images[1]).resize((500, 300)).save(paths[2])
    rows = rows_of(run("predict", model, *paths, "--jsonl"))
    expected = torch_model(model).score_samples(paths)
    np.testing.assert_array_equal([row["score"] for row in rows], expected)


def test_csv_has_what_jsonl_has(model, folder, broken):
    arguments = ("predict", model, folder / "test", broken)
    expected = rows_of(run(*arguments, "--jsonl"))
    found = list(csv.DictReader(run(*arguments, "--csv").stdout.splitlines()))
    assert [list(row.values()) for row in found] == [
        ["" if value is None else str(value) for value in row.values()] for row in expected
    ]


def test_bad_images_have_their_row_and_stop_nothing(model, folder, broken, deceptive, tmp_path):
    good = folder / "test/good/24.png"
    missing = tmp_path / "missing.png"
    result = run(
        "predict", model, broken, good, deceptive, missing, good, "--jsonl", "--batch-size", 2
    )
    assert result.exit_code == 2
    rows = rows_of(result)
    assert [row["decision"] == "error" for row in rows] == [True, False, True, True, False]
    assert rows[0]["error"].startswith("is not an image")
    assert rows[2]["error"].startswith("is damaged")
    assert rows[3]["error"] == "does not exist."
    assert rows[0]["score"] is None
    assert rows[1] == rows[4]
    assert "5 images: 2 good, 0 defective, 3 bad" in result.stderr


def test_only_bad_images_are_reported_as_well(model, broken):
    result = run("predict", model, broken)
    assert result.exit_code == 2
    assert result.stdout.startswith("error ")
    assert str(broken) in result.stdout


@pytest.mark.parametrize(
    ("names", "options", "status"),
    [
        (["good/24.png"], ["--fail-on-defect"], 0),
        (["bad/33.png"], [], 0),
        (["good/24.png", "bad/33.png"], ["--fail-on-defect"], 1),
        (["bad/33.png", "missing.png"], ["--fail-on-defect"], 2),
        (["missing.png"], [], 2),
    ],
)
def test_exit_status(model, folder, names, options, status):
    paths = [folder / "test" / name for name in names]
    assert run("predict", model, *paths, *options).exit_code == status


def test_quiet_says_nothing_beside_the_results(model, folder):
    result = run("predict", model, folder / "test/good/24.png", "--quiet")
    assert result.stderr == ""


@pytest.mark.parametrize("compress", [0, 3])
@pytest.mark.parametrize("command", ["predict", "info"])
def test_a_pickle_is_told_for_what_it_is(tmp_path, command, compress):
    joblib.dump(PaDiM(), tmp_path / "a.skpadim", compress=compress)
    result = run(command, tmp_path / "a.skpadim", *["x.png"][: command == "predict"])
    assert result.exit_code == 2
    assert "it looks like a pickle, such as joblib writes" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "{folder}", "-o", "{pipe}", "--overwrite"),
        ("predict", "{model}", "{folder}", "--report", "{pipe}", "--overwrite"),
        ("calibrate", "{model}", "{folder}", "-o", "{pipe}", "--overwrite"),
        ("export", "{model}", "{pipe}", "--overwrite"),
        ("watch", "{model}", "{folder}", "-o", "{pipe}"),
    ],
)
def test_a_pipe_is_not_replaced(model, folder, tmp_path, arguments):
    pipe = tmp_path / f"pipe.{ {'export': 'onnx', 'watch': 'csv'}.get(arguments[0], 'x') }"
    os.mkfifo(pipe)
    names = {"model": model, "folder": folder, "pipe": pipe}
    result = run(*(argument.format(**names) for argument in arguments))
    assert result.exit_code == 2
    assert "is a device, a pipe" in result.stderr
    assert pipe.is_fifo()


def test_info_refuses_a_header_without_what_it_tells(model, tmp_path):
    with safe_open(model, framework="numpy") as file:
        record = json.loads(file.metadata()["skpadim"])
    record["detector"] = {"embedder_": {"backbone": 3}}
    text = json.dumps(record)
    path = tmp_path / "a.skpadim"
    save_file({}, path, {"skpadim": text, "sha256": checksum(text, {})})
    result = run("info", path)
    assert result.exit_code == 2
    assert "its header is damaged" in result.stderr


def test_a_folder_without_images_is_an_error_before_any_work(model, tmp_path):
    result = run("predict", model, tmp_path)
    assert result.exit_code == 2
    assert "has no image" in result.stderr
    assert result.stdout == ""


def test_masks_are_those_of_python_at_the_size_of_the_image(model, folder, tmp_path):
    run("predict", model, folder / "test", "--masks", tmp_path / "masks")
    images = sorted((folder / "test").rglob("*.png"))
    expected = torch_model(model).predict_mask(images, size="image")
    for image, mask in zip(images, expected, strict=True):
        name = f"{image.relative_to(folder / 'test')}.mask.png"
        pixels = np.asarray(Image.open(tmp_path / "masks" / name))
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, 255 * mask.astype(np.uint8))
    assert len(list((tmp_path / "masks").rglob("*.*"))) == len(images)


def test_the_peak_of_a_heatmap_is_minus_the_score(model, folder, tmp_path):
    result = run("predict", model, folder / "test", "--heatmaps", tmp_path, "--jsonl")
    for row in rows_of(result):
        name = f"{Path(row['path']).relative_to(folder / 'test')}.heatmap.tiff"
        heatmap = np.asarray(Image.open(tmp_path / name))
        assert heatmap.shape == (96, 96)
        assert -heatmap.max().astype(np.float64) == row["score"]


def test_a_heatmap_shows_the_whole_image_where_there_is_a_crop(folder, tmp_path):
    path, image = tmp_path / "a.skpadim", folder / "test/bad/33.png"
    run("fit", folder / "train", "-o", path, "--image-size", 64, "--crop-size", 32)
    run("predict", path, image, "--heatmaps", tmp_path / "maps")
    heatmap = np.asarray(Image.open(tmp_path / "maps/33.png.heatmap.tiff"))
    expected = torch_model(path).predict_heatmap([image], size=64)[0]
    np.testing.assert_array_equal(heatmap, expected)


def test_files_of_one_name_get_different_masks(parts, model, tmp_path):
    for name in ("a/1.png", "b/1.png", "b/1.bmp"):
        save_image(parts.images[0], tmp_path / name)
    run("predict", model, tmp_path / "a/1.png", tmp_path / "b", "--masks", tmp_path / "masks")
    found = sorted(path.relative_to(tmp_path / "masks") for path in tmp_path.rglob("*.mask.png"))
    assert list(map(str, found)) == ["a/1.png.mask.png", "b/1.bmp.mask.png", "b/1.png.mask.png"]


@pytest.mark.parametrize("option", ["--masks", "--heatmaps"])
def test_pictures_join_others_only_when_told(model, folder, tmp_path, option):
    (tmp_path / "notes.txt").write_text("mine")
    command = ("predict", model, folder / "test/bad", option, tmp_path)
    refused = run(*command)
    assert refused.exit_code == 2
    assert f"{tmp_path} is not empty; give another folder, or --overwrite." in refused.stderr
    assert refused.stdout == ""
    assert run(*command, "--overwrite").exit_code == 0
    assert len(list(tmp_path.rglob("33.png.*"))) == 1


def test_masks_are_not_written_among_the_images(model, folder):
    result = run("predict", model, folder / "test", "--masks", folder / "test/masks")
    assert result.exit_code == 2
    assert not (folder / "test/masks").exists()


def test_a_report_is_written_of_the_images_that_are_good_files(model, folder, broken, tmp_path):
    page = tmp_path / "page.html"
    result = run("predict", model, broken, folder / "test/bad", "--report", page)
    assert result.exit_code == 2
    assert '"name": "bad/35.png"' in page.read_text()
    assert "broken.png" not in page.read_text()
    refused = run("predict", model, folder / "test/bad", "--report", page)
    assert refused.exit_code == 2
    assert refused.stdout == ""


def test_paths_come_on_standard_input_and_are_answered_at_once(model, folder, tmp_path):
    with start(
        "predict", model, "-", "--jsonl", "--masks", tmp_path, stdin=subprocess.PIPE
    ) as process:
        for name in ("good/24.png", "bad/33.png"):
            process.stdin.write(os.fsencode(folder / "test" / name) + b"\n")
            process.stdin.flush()
            # Before there is another line, and before the end.
            assert json.loads(process.stdout.readline())["path"] == str(folder / "test" / name)
        process.stdin.close()
        assert process.wait() == 0
    assert Path(f"{tmp_path}{folder}/test/bad/33.png.mask.png").exists()


@pytest.mark.slow
def test_a_name_that_is_no_unicode_comes_out_as_it_is(parts, model, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.png"
    Image.fromarray(parts.images[0]).save(os.fsdecode(name))
    output = subprocess.run(
        [*COMMAND, "predict", model, name, "--engine", "torch"], capture_output=True, check=True
    ).stdout
    assert output.rstrip(b"\n").endswith(name)


def test_a_model_without_threshold_says_what_to_do(parts, tmp_path):
    detector = PaDiM(embedder=PatchEmbedder(image_size=32, engine="torch"))
    detector.partial_fit(parts.images[:4])
    path = skpadim.save(detector, tmp_path / "a.skpadim")
    result = run("predict", path, "x.png")
    assert result.exit_code == 2
    assert "skpadim calibrate" in result.stderr


def test_a_model_of_embeddings_is_refused(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 2, 2, 3))
    path = skpadim.save(PaDiM(embedder="passthrough").fit(X), tmp_path / "a.skpadim")
    result = run("predict", path, "x.png")
    assert result.exit_code == 2
    assert "embeddings" in result.stderr


def test_predict_tells_what_it_has_passed_over(parts, model, tmp_path, unreadable):
    save_image(parts.images[24], tmp_path / "a.png")
    (tmp_path / "notes.txt").touch()
    result = run("predict", model, tmp_path)
    assert result.exit_code == 0
    assert "passed over: 1 .txt\n1 image: 1 good" in result.stderr
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    folder = unreadable("b")
    result = run("predict", model, tmp_path, "--quiet")
    assert result.exit_code == 2  # not all has been seen
    assert result.stdout.count("\n") == 1
    assert f"Warning: {str(tmp_path / 'gone.png')!r} is a link that leads nowhere" in result.stderr
    assert f"Warning: {str(folder)!r} cannot be read" in result.stderr
    assert ".txt" not in result.stderr


def test_an_error_of_a_folder_tells_what_kinds_it_has(model, tmp_path):
    (tmp_path / "a.heic").touch()
    result = run("predict", model, tmp_path)
    assert result.exit_code == 2
    assert "passed over: 1 .heic" in result.stderr


def test_a_name_that_no_mask_can_have_is_one_error(parts, model, tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    long = "x" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".png")) + ".png"
    for name in (long, "a.png", "b.png", "c.png"):
        save_image(parts.images[33], images / name)
    (masks / "b.png.mask.png").mkdir(parents=True)
    options = ["--masks", masks, "--overwrite", "--jsonl"]
    result = run("predict", model, images, *options)
    assert result.exit_code == 2
    reasons = {Path(row["path"]).name: (row["decision"], row["error"]) for row in rows_of(result)}
    assert reasons == {
        "a.png": ("defective", None),
        "b.png": ("error", "its mask cannot be written: A folder has its name."),
        "c.png": ("defective", None),
        long: ("error", "its mask cannot be written: File name too long."),
    }
    assert (masks / "a.png.mask.png").is_file()
    assert "4 images: 0 good, 2 defective, 2 bad" in result.stderr


# names of files and other texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop-size", 64], "--crop-size 64x64 must not be larger than --image-size 32x32."),
        (["--n-components", 177], "--n-components 177 is larger than the number of dimensions"),
        (["--n-components", 0], "neither a number, as 100, nor a share up to 1"),
        (["--n-components", 1.5], "neither a number, as 100, nor a share up to 1"),
        (["--random-state", 2**32], "not in the range"),
        (["--backbone", "resnet81"], "of torchvision, or 'timm/<name>'.\n"),
        (["--device", "tpu"], "--device 'tpu' does not work here"),
    ],
)
def test_errors_speak_of_options(folder, tmp_path, options, message):
    model = tmp_path / "a.skpadim"
    result = run("fit", folder / "train", "-o", model, "--image-size", 32, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_errors_speak_of_files(parts, model, tmp_path):
    number = tmp_path / "image_size/number.tiff"
    save_image(np.zeros((8, 8), np.int32), number)
    save_image(parts.images[0], number.with_name("image.png"))
    folder = number.parent
    (row,) = rows_of(run("predict", model, number, "--jsonl"))
    assert row["error"].endswith(
        "Scale them to 0 ... 255, in 8 bits, or to [0, 1] as 32-bit floating point."
    )
    result = run("fit", folder, "-o", tmp_path / "a.skpadim")
    assert f"Error: {str(number)!r}, has pixels of type int32" in result.stderr
    result = run("evaluate", model, folder)
    assert f"{folder} is not laid out like a category of MVTec AD" in result.stderr


def test_parameters_in_names_of_files_are_names():
    with commands.commands["fit"].make_context("fit", ["x", "-o", "y"], resilient_parsing=True):
        assert in_words("image_size=3: see /a/image_size/b, 'crop_size.png' and n_jobs=None.") == (
            "--image-size 3: see /a/image_size/b, 'crop_size.png' and --n-jobs None."
        )


NAMES = [
    *("=1+1.png", "+1.png", "-1.png", "@a.png", "'quoted.png", "a;=1.png", "\uff1d1.png"),
    *("a\x1b[2K.png", "a\rb.png", "a\nb.png", "\ta.png", "back\\slash\x07.png", "\x9b.png"),
    *("right\u202eto left.png", "back\\slash.png", "a, b.png", "ä.png", "\udcff.png"),
]


@given(st.text(st.characters(exclude_categories=[])))
@example("\\x1b\x1b")
@example("'=")
def test_a_cell_is_safe_and_can_be_turned_back(text):
    cell = to_cell(text)
    assert from_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert visible(cell) == cell


@pytest.mark.parametrize("text", ["part-1.png", "a, b.png", "C:\\parts\\a.png", "a = b.png", "ä"])
def test_usual_names_are_cells_as_they_are(text):
    assert to_cell(text) == text


@pytest.fixture
def odd(parts, tmp_path):
    folder = tmp_path / "odd"
    for name in NAMES:
        save_image(parts.images[24], folder / name)
    return folder


def test_no_name_moves_the_cursor_or_makes_a_line(model, odd):
    result = run("predict", model, odd)
    lines = result.stdout_bytes.decode(errors="surrogateescape").split("\n")
    assert len(lines) == len(NAMES) + 1
    assert all(line == visible(line) for line in lines)
    assert f"  {odd}/a\\x1b[2K.png" in result.stdout
    result = run("predict", model, odd / "\x1b[2K.png")
    assert "\x1b" not in result.stdout + result.stderr


def test_json_lines_have_the_names_exactly(model, odd):
    found = [row["path"] for row in rows_of(run("predict", model, odd, "--jsonl"))]
    assert sorted(found) == sorted(str(odd / name) for name in NAMES)


def test_cells_of_names_are_safe_and_numbers_stay_numbers(model, odd, monkeypatch):
    monkeypatch.chdir(odd)
    result = run("predict", model, "--csv", "--", *NAMES)
    text = result.stdout_bytes.decode(errors="surrogateescape")
    assert text.count("\n") == len(NAMES) + 1
    rows = list(csv.DictReader(text.split("\n")))
    assert [from_cell(row["path"]) for row in rows] == NAMES
    assert rows[0]["path"] == "'=1+1.png"
    assert all(float(row["score"]) < 0 for row in rows)


def test_errors_do_not_pass_control_characters_on(model, tmp_path):
    (tmp_path / "\x1b[2K").mkdir()
    result = run("predict", model, tmp_path / "\x1b[2K")
    assert result.exit_code == 2
    assert "\\x1b[2K has no image" in result.stderr
    assert "\x1b" not in result.stderr


# What is no number


def test_json_is_valid_whatever_numbers_there_are():
    values = {"score": float("nan"), "more": [1.5, {"threshold": -np.inf}], "path": "a", "n": 3}
    expected = {"score": None, "more": [1.5, {"threshold": None}], "path": "a", "n": 3}
    assert json.loads(to_json(values), parse_constant=pytest.fail) == expected


@pytest.mark.parametrize("form", ["jsonl", "csv", None])
def test_a_score_that_is_no_number_is_a_defect_in_every_form(model, form):
    inspection = Inspection(np.full((3, 3), np.nan, np.float32), -5.0, (3, 3), None)
    row = row_of(skpadim.load(model), _Result(Frame("a.png", None, (3, 3), ""), inspection))
    line = Lines(form, ("path", "score", "decision")).line(row)
    assert "defective" in line
    if form == "jsonl":
        assert json.loads(line, parse_constant=pytest.fail)["score"] is None


# evaluate and calibrate


def test_evaluate_agrees_with_a_count_over_all_pairs(model, folder):
    figures = json.loads(run("evaluate", model, folder, "--json").stdout)
    data = load_mvtec_ad(folder.parent, folder.name)
    detector = torch_model(model)
    distances = -detector.score_samples(data.X_test)
    bad, good = distances[data.y_test == -1], distances[data.y_test == 1]
    pairs = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    assert figures["image_auroc"] == pytest.approx(pairs.mean(), rel=1e-12)
    assert figures["n_false_alarms"] == np.sum(good > -detector.offset_)
    assert figures["n_missed"] == np.sum(bad <= -detector.offset_)
    assert (figures["n_good"], figures["n_defective"]) == (6, 6)
    heatmaps = detector.predict_heatmap(data.X_test)
    masks = read_masks(data.masks_test, 96)
    inside, outside = np.sort(heatmaps[masks]), np.sort(heatmaps[~masks])
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    assert figures["pixel_auroc"] == pytest.approx(below.mean() / 2 / len(outside), rel=1e-9)


def test_evaluate_prints_a_line_a_figure(model, folder):
    result = run("evaluate", model, folder)
    assert result.exit_code == 0
    assert [line[:17].strip() for line in result.stdout.splitlines()] == [
        "image AUROC",
        "average precision",
        "pixel AUROC",
        "AUPRO, FPR <= 0.3",
        "false alarms",
        "missed",
    ]


def test_evaluate_says_what_the_layout_lacks(model, tmp_path):
    result = run("evaluate", model, tmp_path)
    assert result.exit_code == 2
    assert "train/good" in result.stderr


def test_calibrate_sets_the_threshold_and_changes_nothing_else(model, folder, tmp_path):
    path = tmp_path / "a.skpadim"
    path.write_bytes(model.read_bytes())
    arguments = ["--false-alarm-rate", 0.3, "--batch-size", 8]
    result = run("calibrate", path, folder / "test/good", *arguments)
    assert result.exit_code == 0, result.output
    before, after = torch_model(model), skpadim.load(path)
    scores = before.score_samples([folder / f"test/good/{index}.png" for index in range(24, 30)])
    assert after.offset_ == np.sort(scores)[1]  # floor(7 * 0.3) = 2
    assert after.false_alarm_rate == 0.3
    assert after.embedder.engine == "auto"
    assert after.embedder.batch_size == before.embedder.batch_size
    np.testing.assert_array_equal(after.gaussian_.factor_, before.gaussian_.factor_)


def test_calibrate_can_leave_the_model_as_it_is(model, folder, tmp_path):
    content = model.read_bytes()
    other = tmp_path / "other.skpadim"
    run("calibrate", model, folder / "test/good", "-o", other, "--false-alarm-rate", 0.5)
    assert model.read_bytes() == content
    assert skpadim.load(other).false_alarm_rate == 0.5


@pytest.mark.slow
def test_a_warning_is_one_line(model, folder, tmp_path):
    with start("calibrate", model, folder / "test/good", "-o", tmp_path / "a.skpadim") as process:
        _, errors = process.communicate()
    assert process.returncode == 0
    first, _, rest = errors.decode().partition("\n")
    assert first.startswith(
        "Warning: --false-alarm-rate 0.05 cannot be promised from 6 good samples"
    )
    assert rest.startswith(str(tmp_path))


# export


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.pt",), "must end in .onnx, or in .xml"),
        (("a.onnx", "--precision", "int8"), "--precision int8 is for OpenVINO"),
        (("a.onnx", "--calibration-images", "."), "are for --precision int8"),
        (("a.xml", "--precision", "int8"), "int8' needs --calibration-images"),
    ],
)
def test_export_refuses_what_does_not_go_together(model, tmp_path, arguments, message):
    name, *options = arguments
    result = run("export", model, tmp_path / name, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_writes_onnx(model, folder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    result = run("export", model, tmp_path / "part.onnx", "--resize")
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession(tmp_path / "part.onnx")
    paths = sorted(folder.glob("test/*/*.png"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    (decisions,) = session.run(["decision"], {"images": images})
    assert set(decisions) == {-1, 1}
    assert decisions.tolist() == skpadim.load(model).predict(paths).tolist()


def test_export_overwrites_both_files_of_openvino_only_when_told(model, tmp_path):
    pytest.importorskip("onnx")
    openvino = pytest.importorskip("openvino")
    (tmp_path / "part.bin").write_bytes(b"another's")
    result = run("export", model, tmp_path / "part.xml")
    assert result.exit_code == 2
    assert "part.bin exists" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["part.bin"]
    result = run("export", model, tmp_path / "part.xml", "--overwrite")
    assert result.exit_code == 0, result.output
    assert len(openvino.Core().read_model(tmp_path / "part.xml").outputs) == 3


# watch


def watched(output):
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_watch_scores_what_appears_and_stops_when_told(parts, model, tmp_path, wait_for, number):
    camera, output = tmp_path / "camera", tmp_path / "results.jsonl"
    save_image(parts.images[24], camera / "1.png")
    with start("watch", model, camera, "-o", output, "--interval", 0.05) as process:
        wait_for(lambda: len(watched(output)) == 1)
        save_image(parts.images[33], camera / "late/2.png")
        wait_for(lambda: len(watched(output)) == 2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"2 images: 1 good, 1 defective" in errors
    rows = watched(output)
    assert [row["path"] for row in rows] == ["1.png", "late/2.png"]
    assert [row["decision"] for row in rows] == ["good", "defective"]
    modified = (camera / "1.png").stat().st_mtime
    assert rows[0]["modified"].startswith(
        time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(modified))
    )


@pytest.mark.slow
def test_watch_waits_for_the_end_of_a_file(parts, model, tmp_path, wait_for):
    camera, output = tmp_path / "camera", tmp_path / "results.jsonl"
    whole = save_image(parts.images[24], tmp_path / "whole.png").read_bytes()
    camera.mkdir()
    (camera / "slow.png").write_bytes(whole[: len(whole) // 2])
    with start("watch", model, camera, "-o", output, "--interval", 0.05) as process:
        save_image(parts.images[25], camera / "quick.png")
        wait_for(lambda: len(watched(output)) == 1)
        with open(camera / "slow.png", "ab") as file:
            file.write(whole[len(whole) // 2 :])
        wait_for(lambda: len(watched(output)) == 2)
        process.terminate()
        process.communicate(timeout=120)
    assert [(row["path"], row["error"]) for row in watched(output)] == [
        ("quick.png", None),
        ("slow.png", None),
    ]


def test_watch_reports_a_bad_file_once_and_goes_on(
    parts, model, broken, deceptive, tmp_path, wait_for
):
    camera, output = tmp_path / "camera", tmp_path / "results.jsonl"
    camera.mkdir()
    broken.rename(camera / "broken.png")
    deceptive.rename(camera / "deceptive.png")
    with start("watch", model, camera, "-o", output, "--interval", 0.05, "--grace", 0.2) as process:
        wait_for(lambda: len(watched(output)) == 2)
        # Complete at once: half a file that stays so for longer than the grace is a bad one.
        save_image(parts.images[24], tmp_path / "good.png").rename(camera / "good.png")
        wait_for(lambda: len(watched(output)) == 3)
        process.terminate()
        process.communicate(timeout=120)
    assert process.returncode == 0
    rows = watched(output)
    assert {row["path"] for row in rows[:2]} == {"broken.png", "deceptive.png"}
    assert [row["decision"] for row in rows] == ["error", "error", "good"]


def watch_once(model, camera, output, *options):
    return run("watch", model, camera, "-o", output, "--once", "--interval", 0.01, *options)


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
def test_the_results_are_the_memory(parts, model, tmp_path, name):
    camera, output = tmp_path / "camera", tmp_path / name
    for index in (24, 30):
        save_image(parts.images[index], camera / f"{index}.png")
    assert watch_once(model, camera, output).exit_code == 0
    first = output.read_bytes()
    assert watch_once(model, camera, output).exit_code == 0
    assert output.read_bytes() == first
    save_image(parts.images[31], camera / "31.png")
    os.utime(camera / "24.png", (0, 0))  # another file under an old name
    watch_once(model, camera, output)
    added = output.read_bytes().removeprefix(first).decode().splitlines()
    assert len(added) == 2
    assert "24.png" in added[0]  # the oldest first
    assert "31.png" in added[1]


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
def test_the_memory_knows_all_names(model, odd, tmp_path, name):
    output = tmp_path / name
    watch_once(model, odd, output)
    content = output.read_bytes()
    assert content.count(b"\n") == len(NAMES) + (name == "results.csv")
    assert watch_once(model, odd, output).exit_code == 0
    assert output.read_bytes() == content


def test_watch_goes_on_beside_what_cannot_be_read(parts, model, tmp_path, unreadable):
    save_image(parts.images[24], tmp_path / "a.png")
    folder = unreadable("b")
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")
    os.utime(save_image(parts.images[24], tmp_path / "d.png"), (2**40, 2**40))  # in year 36812
    (tmp_path / "e.txt").touch()
    result = watch_once(model, tmp_path, tmp_path / "results.csv")
    assert result.exit_code == 2
    assert "2 images: 2 good" in result.stderr
    assert result.stderr.count(f"Warning: {str(folder)!r} cannot be read") == 1
    assert result.stderr.count("c.png' is a link that leads nowhere; trying again") == 1
    assert result.stderr.count("passed over: 1 .txt\n") == 1  # its own file is none
    content = (tmp_path / "results.csv").read_bytes()
    watch_once(model, tmp_path, tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_bytes() == content


def test_files_in_a_folder_that_is_away_for_a_while_are_not_forgotten(tmp_path, unreadable):
    deep = unreadable("b")
    files = NewFiles(
        tmp_path, None, 0.0, {"a.png": "then", str((deep / "b.png").relative_to(tmp_path)): "then"}
    )
    assert files._look() == []
    assert [Path(name).name for name in files._seen] == ["b.png"]


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl"])
def test_a_line_that_a_crash_has_cut_is_written_anew(parts, model, tmp_path, name):
    camera, output = tmp_path / "camera", tmp_path / name
    save_image(parts.images[24], camera / "24.png")
    watch_once(model, camera, output)
    whole = output.read_bytes()
    output.write_bytes(whole[:-20])
    watch_once(model, camera, output)
    assert output.read_bytes() == whole


def test_watch_once_tells_of_bad_files_by_its_status(model, broken, tmp_path):
    result = watch_once(model, tmp_path, tmp_path / "results.csv")
    assert result.exit_code == 2
    assert "broken.png" in (tmp_path / "results.csv").read_text()


def test_watch_does_not_append_to_other_files(model, tmp_path):
    output = tmp_path / "results.csv"
    output.write_text("name,price\nscrew,3\n")
    result = watch_once(model, tmp_path, output)
    assert result.exit_code == 2
    assert output.read_text() == "name,price\nscrew,3\n"
    assert watch_once(model, tmp_path, tmp_path / "results.txt").exit_code == 2


def test_watch_prints_where_there_is_no_file(parts, model, tmp_path):
    save_image(parts.images[24], tmp_path / "24.png")
    result = run("watch", model, tmp_path, "--once", "--interval", 0.01)
    assert result.exit_code == 0
    assert result.stdout.startswith("good ")
    assert result.stdout.endswith("  24.png\n")


def test_watch_leaves_the_signals_as_they_were(parts, model, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    watch_once(model, tmp_path, tmp_path / "results.csv")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


# the process


def test_nothing_heavy_is_imported_for_help():
    code = (
        "import sys, skpadim.cli as cli\n"
        "try: cli.commands(['predict', '--help'])\n"
        "except SystemExit: print({'torch', 'sklearn', 'scipy', 'numpy'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.decode().endswith("set()\n")


def test_the_package_still_has_all_its_names():
    code = "import skpadim; [getattr(skpadim, n) for n in dir(skpadim)]; skpadim.metrics.pro_curve"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing"):
        skpadim.nothing  # noqa: B018 (to look it up is all)


def test_a_reader_that_leaves_is_no_error(model, folder):
    with start("predict", model, folder / "test", "--jsonl", "--batch-size", 1) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors == b""


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_quietly(model):
    with start("predict", model, "-", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"missing.png\n")
        process.stdin.flush()
        process.stdout.readline()  # now it waits for another
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only(model, folder):
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    arguments = [*COMMAND, "predict", model, folder / "test", "--csv", "--engine", "torch"]
    shown = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    seen = b""
    with suppress(OSError), open(master, "rb", buffering=0) as screen:
        while block := screen.read(100_000):
            seen += block
    assert b"12/12" in seen
    piped = subprocess.run(arguments, capture_output=True, check=True)
    assert piped.stdout == shown.stdout
    assert piped.stderr.count(b"\n") == 1
    assert b"\r" not in piped.stderr


def test_help_has_examples_that_can_be_copied():
    lines = map(str.strip, run("predict", "--help").stdout.splitlines())
    assert "skpadim predict part.skpadim parts/new --csv > results.csv" in lines


def test_an_unknown_option_is_a_usage_error():
    result = run("predict", "--nonsense")
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell):
    environment = os.environ | {"_SKPADIM_COMPLETE": f"{shell}_source"}
    code = "import sys; sys.argv[0] = 'skpadim'; from skpadim.cli import main; main()"
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    ).stdout
    assert b"_SKPADIM_COMPLETE" in output


# frames


def test_frames_are_made_a_batch_ahead_and_no_further(folder):
    asked = []

    def paths():
        for index in range(24):
            asked.append(index)
            yield str(folder / f"train/good/{index}.png")

    batches = iter_frames(paths(), (16, 16), batch_size=4)
    sizes = []
    for batch in batches:
        sizes.append(len(batch))
        assert len(asked) <= 4 * (len(sizes) + 1)
    assert sizes == [4] * 6


def test_frames_are_finished_before_a_pause(folder):
    path = str(folder / "train/good/0.png")
    batches = iter_frames(iter([path, path, path, None, path]), (16, 16), batch_size=2)
    assert [len(batch) for batch in batches] == [2, 1, 1]
