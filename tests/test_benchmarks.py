import csv
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skpadim
from skpadim import PatchGaussian
from skpadim.datasets import make_inspection_images

pytestmark = pytest.mark.slow  # they start processes, and fit many times

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """Let the scripts be imported."""
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def printed(benchmarks, monkeypatch, capsys):
    """Run a script in this process, which has imported what others would take seconds for."""

    def run_here(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        importlib.import_module(script).main()
        return capsys.readouterr().out

    return run_here


def run(script, *arguments):
    command = [sys.executable, FOLDER / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def table(output):
    """Cells of the rows of a Markdown table, without its head."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_scaling_measures_each_size():
    done = run("scaling.py", "--sizes", "64", "96", "--counts", "20", "--image-size", "32")
    lines = done.stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[2:]] == [["64", "20"], ["96", "20"]]
    for size, count, fit, each, pixel, predict, peak in np.array(rows[2:], dtype=float):
        # All three are the time of one fit; what is printed is rounded.
        assert fit == pytest.approx(each * count / 1000, abs=0.06)
        assert each == pytest.approx(pixel * size**2 / 1e6, abs=0.06 + 0.6 * size**2 / 1e6)
        assert predict > 0
        assert peak > 50


def test_scaling_names_a_number_that_is_too_small():
    done = run("scaling.py", "--sizes", "64", "--counts", "20", "1")
    assert done.returncode == 2
    assert "--counts must be 2 or more; got 1" in done.stderr


def test_accuracy_has_the_mean_over_seeds_and_its_standard_error(printed, folder):
    arguments = ("--setting", "embedder__image_size=64, n_components=5", "--seeds", "0-1,4")
    output = printed("accuracy", str(folder.parent), folder.name, *arguments)
    rows = [line.split() for line in output.splitlines()[2:]]
    measures = np.array([row[1:4] for row in rows if row[0] == folder.name], dtype=float)
    assert len(measures) == 3
    assert len({tuple(row) for row in measures}) > 1
    mean, error = ([float(cell) for cell in row[-3:]] for row in rows[-2:])
    np.testing.assert_allclose(mean, measures.mean(axis=0), atol=1e-4)
    expected = measures.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(error, expected, atol=1e-4)


def test_drift_gives_the_rates_of_both_tests_at_each_size(printed):
    lines = printed("drift", "--repeats", "1", "--windows", "5").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "%" in line]
    sizes = [("50", "10"), ("200", "10"), ("200", "20"), ("200", "50")]
    tests = ["Mann-Whitney", "Kolmogorov-Smirnov"]
    assert [row[:3] for row in rows] == [[*size, test] for size in sizes for test in tests]
    rates = np.array([[float(cell.rstrip("%")) for cell in row[3:]] for row in rows])
    # The mean over 20 references, and what one of them is over, at the levels 0.01 and 0.001: the
    # tests are exact, so that of the 100 windows in all few have an alarm, by any seed.
    assert (rates[:, [0, 2]] <= [5, 3]).all()
    assert (rates[:, 2] <= rates[:, 0]).all()
    assert (rates[:, 3] <= rates[:, 1]).all()
    assert rates[:, 0].sum() > 0


SMALL_METRICS = ("--without-oracles", "--maps", "4", "--size", "32", "--repeats", "1")


def test_metrics_are_equal_to_those_of_scikit_learn(printed):
    assert "| pixel_roc_auc_score | " in printed("metrics", *SMALL_METRICS)


def test_metrics_that_differ_are_a_failure():
    assert run("metrics.py", *SMALL_METRICS, "--tolerance", "-1").returncode == 1


def test_metrics_need_two_maps(printed, capsys):
    with pytest.raises(SystemExit, match="2"):
        printed("metrics", "--maps", "1")
    assert "--maps must be 2 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "fit,speed"), "'speed' is none of import, fit, processes, predict"),
        (("--repeats", "0"), "'0' is not a whole number from 1 on"),
        (("--contenders", "anomalib"), "anomalib needs skpadim-openvino or skpadim-torch"),
        ((), "there is no folder"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_installed(tmp_path, arguments, message):
    done = run("compare_anomalib.py", str(tmp_path / "nowhere"), "bottle", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_defaults_are_measured_alike_whichever_benchmark_does(printed, folder):
    columns = printed("accuracy", str(folder.parent), folder.name).splitlines()[-1].split()
    settings = ("--synthetic", "0", "--setting", "", "--setting", "smoothing=4")
    rows = table(printed("defaults", str(folder.parent), folder.name, *settings))
    assert [row[0] for row in rows] == ["the defaults", "`smoothing=4`"]
    for row in rows:
        assert row[1] == row[2] == " / ".join(columns[1:4])
        assert row[3] == f"{columns[4].split('/')[0]} of 6"


def test_settings_that_are_not_skpadims_leave_the_threshold_out(printed, folder):
    settings = ("top_k=9", "copies='shifts'", "tolerance=1")
    arguments = [word for text in settings for word in ("--setting", text)]
    arguments += ["--synthetic", "0", "--moved"]
    rows = table(printed("defaults", str(folder.parent), folder.name, *arguments))
    assert [row[0] for row in rows] == [f"`{text}`" for text in settings]
    assert [bool(row[3]) for row in rows] == [False, True, False]


def test_faint_defects_are_where_the_masks_are(benchmarks):
    from defaults import faint_defects

    data = faint_defects(4, mask_size=64, image_size=64)
    whole = make_inspection_images(4, 0, image_size=64, random_state=1).images
    assert data.masks[:4].sum() == 0
    assert data.masks[4:].any(axis=(1, 2)).all()
    assert np.array_equal(data.y, np.repeat([1, -1], 4))
    changed = np.abs(data.test[4:].astype(int) - whole).max(axis=3)
    full = np.abs(
        make_inspection_images(0, 4, image_size=64, random_state=1).images.astype(int) - whole
    ).max(axis=3)
    assert changed[data.masks[4:]].mean() > 10 * changed[~data.masks[4:]].mean()
    np.testing.assert_array_less(np.abs(changed - full / 2), 0.51)


def test_tolerance_takes_the_smallest_distance_around(benchmarks):
    from defaults import tolerant_distances

    rng = np.random.default_rng(0)
    gaussian = PatchGaussian().fit(rng.normal(size=(30, 20, 3)))
    new = rng.normal(size=(2, 4, 5, 3))
    # All patches against all Gaussians, by giving each patch to all of them.
    everywhere = [
        gaussian.patch_distances(np.broadcast_to(new[:, i, j, None], (2, 20, 3))).reshape(2, 4, 5)
        for i in range(4)
        for j in range(5)
    ]
    expected = np.empty((2, 4, 5))
    for k, distances in enumerate(everywhere):
        i, j = divmod(k, 5)
        around = distances[:, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
        expected[:, i, j] = around.min(axis=(1, 2))
    np.testing.assert_allclose(tolerant_distances(gaussian, new, 1), expected, rtol=1e-6)
    own = gaussian.patch_distances(new.reshape(2, 20, 3)).reshape(2, 4, 5)
    np.testing.assert_allclose(tolerant_distances(gaussian, new, 0), own, rtol=1e-6)


def test_an_images_score_knows_none_of_its_copies(benchmarks):
    from defaults import scores_by_image

    embeddings = np.random.default_rng(0).normal(size=(60, 4, 4, 5))
    before = scores_by_image(embeddings, 3)
    embeddings[22:24] += 100  # the copies of image 7
    after = scores_by_image(embeddings, 3)
    same_fold = np.arange(20) % 5 == 7 % 5
    np.testing.assert_array_equal(after[same_fold], before[same_fold])
    assert np.all(after[~same_fold] != before[~same_fold])


def test_copies_begin_with_the_image_itself(benchmarks, parts):
    from defaults import COPIES

    images = parts.images[:3]
    for name, n_copies in {"none": 1, "flips": 4, "shifts": 5}.items():
        copies = COPIES[name](images)
        assert copies.shape == (3, n_copies, 96, 96, 3)
        np.testing.assert_array_equal(copies[:, 0], images)
        assert len(np.unique(copies[0].reshape(n_copies, -1), axis=0)) == n_copies
    shifted = COPIES["shifts"](images)  # by 2 of 96 pixels
    np.testing.assert_array_equal(shifted[:, 1, 2:], images[:, :-2])
    np.testing.assert_array_equal(shifted[:, 4, :, :-2], images[:, :, 2:])


def test_masks_move_with_their_images(benchmarks, parts):
    from _evaluation import ImageSet
    from protocols import moved
    from scipy.ndimage import binary_dilation, binary_erosion

    mask = np.zeros((2, 256, 256), bool)
    mask[0, 90:130, 60:200] = mask[1, 40:200, 100:140] = True
    images = np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=3)
    data = moved(ImageSet("", images, images, np.array([-1, -1]), mask), seed=0)
    assert data.train.shape == data.test.shape == (2, 224, 224, 3)
    assert not np.array_equal(data.train, data.test)
    for image, moved_mask in zip(data.test, data.masks, strict=True):
        seen = image[..., 0] > 127
        assert np.all(seen[binary_erosion(moved_mask)])
        assert np.all(binary_dilation(moved_mask)[seen])
    np.testing.assert_array_equal(
        moved(ImageSet("", images, images, data.y, mask), seed=0).test, data.test
    )


def test_protocols_tell_the_error_of_their_means(printed, folder):
    arguments = (str(folder.parent), folder.name, "--draws", "2", "--sizes", "5", "--only")
    rows = table(printed("protocols", *arguments, "sizes"))
    assert [row[:2] for row in rows] == [["parts", "5"], ["parts", "24"]]
    assert [row[6] for row in rows] == ["16.7%", "4.0%"]
    assert [["±" in cell for cell in row[2:6]] for row in rows] == [[True] * 4, [False] * 4]
    rows = table(printed("protocols", *arguments, "moved"))
    assert [row[1] for row in rows] == ["aligned", "rotated and cropped"]
    aligned, moved = ([float(cell.split(" ± ")[0]) for cell in row[2:]] for row in rows)
    # Parts that are moved are found less well.
    assert 0 <= moved[0] < aligned[0] <= 1


def test_a_standard_error_is_that_of_the_mean(benchmarks):
    from protocols import in_percent, in_words, promised

    assert in_words([[0.25, 1], [0.5, 1], [0.75, 1]]) == ["0.500 ± 0.144", "1.000 ± 0.000"]
    assert in_percent([0.25, 0.5, 0.75]) == "50.0% ± 14.4%"
    assert [promised(n) for n in (5, 19, 39, 40)] == [1 / 6, 1 / 20, 2 / 40, 2 / 41]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("protocols", ("--draws", "1"), "--draws must be 2 or more, for a standard error; got 1"),
        ("protocols", ("--sizes", "5", "1"), "--sizes must be 2 or more; got 1"),
        ("defaults", ("--only", "magic"), "--only magic leaves no setting"),
        ("accuracy", ("--seeds", "a"), "'a' is neither a seed nor a range"),
        ("accuracy", ("--seeds", "1-b"), "'1-b' is neither a seed nor a range"),
        ("accuracy", ("--seeds", "0,0"), "'0,0' has no seed, or one more than once"),
        ("accuracy", ("--seeds", "3-1"), "'3-1' has no seed, or one more than once"),
    ],
)
def test_a_wrong_argument_is_named_before_images_are_read(
    printed, capsys, script, arguments, message
):
    with pytest.raises(SystemExit, match="2"):
        printed(script, "nowhere", "bottle", *arguments)
    assert message in capsys.readouterr().err


RUN = ("run", "--dataset", "mvtec_ad", "--backbones", "resnet18", "--weights", "random")


@pytest.fixture(scope="module")
def bottle_and_grid(folder, tmp_path_factory):
    """The same pictures as two categories whose names have published figures."""
    root = tmp_path_factory.mktemp("two")
    for category in ("bottle", "grid"):
        shutil.copytree(folder, root / category)
    return root


def rows_of(folder):
    with (folder / "results.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_run_has_a_row_for_each_category_and_seed_and_can_be_taken_up(
    printed, bottle_and_grid, tmp_path
):
    where = ("--root", str(bottle_and_grid), "--out", str(tmp_path), "--n-components", "8")
    printed(*RUN, *where, "--categories", "grid", "--recipes", "anodet")
    (first,) = rows_of(tmp_path)
    assert (first["category"], first["recipe"], first["seed"]) == ("grid", "anodet", "0")
    file = tmp_path / "results.csv"
    file.write_text(file.read_text().replace(first["pixel_auroc"], "0.0123"))  # as no run has
    more = ("--categories", "bottle,grid", "--recipes", "default,anodet", "--seeds", "0-1")
    output = printed(*RUN, *where, *more)
    rows = rows_of(tmp_path)
    assert rows[0]["pixel_auroc"] == "0.0123"
    assert len({(row["category"], row["recipe"], row["seed"]) for row in rows}) == len(rows) == 8
    assert "| anodet | resnet18 (random weights) | 8 | 2 |" in output
    assert (tmp_path / "results.md").read_text(encoding="utf-8").strip() == output.strip()


def test_figures_stand_beside_the_published_ones(printed, bottle_and_grid, tmp_path):
    folder = tmp_path / "results"
    where = ("--root", str(bottle_and_grid), "--categories", "bottle", "--out", str(folder))
    output = printed(*RUN[:3], *where)
    (row,) = rows_of(folder)
    default = f"{float(row['pixel_auroc']):.3f}"
    assert f"| bottle | pixel AUROC | 0.981 | not run |  | {default} |" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipes", "papr"), "'papr' is none of default, paper_resnet18"),
        (("--categories", "botle"), "Did you mean 'bottle'?"),
        (("--n-components", "1000"), "1000 dimensions are to be kept of resnet18, which has 448"),
    ],
)
def test_a_run_names_what_is_wrong_before_it_begins(
    printed, capsys, bottle_and_grid, tmp_path, arguments, message
):
    where = ("--root", str(bottle_and_grid), "--out", str(tmp_path), "--categories", "bottle")
    with pytest.raises(SystemExit) as failure:
        printed(*RUN, *where, *arguments)
    assert message in f"{failure.value} {capsys.readouterr().err}"
    assert not (tmp_path / "results.csv").exists()


def test_results_of_another_version_are_left_alone(benchmarks, tmp_path):
    results = importlib.import_module("run").Results
    results(tmp_path).add(("mvtec_ad", "grid", "default", "resnet18", "random", "8", "0"), {})
    file = tmp_path / "results.csv"
    assert results(tmp_path).rows
    file.write_text(file.read_text().replace(skpadim.__version__, "0.0.1"))
    with pytest.raises(SystemExit, match=r"is of skpadim 0\.0\.1, not"):
        results(tmp_path)
    file.write_text("dataset,category\n")
    with pytest.raises(SystemExit, match="has other columns"):
        results(tmp_path)
    assert file.read_text() == "dataset,category\n"


def test_times_are_multiples_of_the_defaults(printed, folder):
    settings = ("--synthetic", "0", "--times", "--setting", "grid_stride=16")
    rows = table(printed("defaults", str(folder.parent), folder.name, *settings))
    assert rows[0] == ["the defaults", "1.00", "1.00"]
    assert rows[1][0] == "`grid_stride=16`"
    # A quarter of the Gaussians takes less time, if not much.
    assert all(0 < float(cell) < 1.5 for cell in rows[1][1:])


def test_copies_are_left_out_one_by_one_and_by_image(printed, folder):
    arguments = ("--synthetic", "0", "--by-image", "--only", "flips")
    rows = table(printed("defaults", str(folder.parent), folder.name, *arguments))
    assert [row[:3] for row in rows] == [
        ["flips", "parts", "a copy"],
        ["flips", "parts", "a 5th of the images"],
    ]
    assert all(row[3].endswith(" of 6") and row[4].endswith(" of 6") for row in rows)
