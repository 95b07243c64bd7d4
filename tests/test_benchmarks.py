import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(script, *arguments):
    command = [sys.executable, FOLDER / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_scaling_measures_each_size_with_each_count():
    done = run("scaling.py", "--sizes", "64", "96", "--counts", "20", "40", "--image-size", "32")
    lines = done.stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[2:]] == [["64", "20"], ["64", "40"], ["96", "20"], ["96", "40"]]
    assert all(float(cell) >= 0 for row in rows[2:] for cell in row)


def test_scaling_names_a_number_that_is_too_small():
    done = run("scaling.py", "--sizes", "64", "--counts", "20", "1")
    assert done.returncode == 2
    assert "--counts must be 2 or more; got 1" in done.stderr


def test_drift_gives_the_rates_of_both_tests_at_each_size():
    lines = run("drift.py", "--repeats", "1", "--windows", "5").stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "%" in line]
    sizes = [("50", "10"), ("200", "10"), ("200", "20"), ("200", "50")]
    tests = ["Mann-Whitney", "Kolmogorov-Smirnov"]
    assert [row[:3] for row in rows] == [[*size, test] for size in sizes for test in tests]
    assert all(0 <= float(cell.rstrip("%")) <= 100 for row in rows for cell in row[3:])


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
