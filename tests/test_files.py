"""Files that are written: how they get their name, what they replace, and what is left behind."""

import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import skpadim
from skpadim import PaDiM
from skpadim._files import check_new_file, new_file


def write(path, text="new"):
    with new_file(path, overwrite=True) as unfinished:
        unfinished.write_text(text)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_appears_when_it_is_complete_and_nothing_else_does(tmp_path):
    path = tmp_path / "a.txt"
    with new_file(path, overwrite=False) as unfinished:
        unfinished.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    write(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError):
        write(tmp_path / "a.txt", text=3)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o444])
def test_what_is_replaced_passes_its_mode_on(tmp_path, mode):
    write(tmp_path / "a.txt", "old")
    (tmp_path / "a.txt").chmod(mode)
    write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert mode_of(tmp_path / "a.txt") == mode


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    write(tmp_path / "a.txt")
    (tmp_path / "b.txt").touch()
    assert mode_of(tmp_path / "a.txt") == mode_of(tmp_path / "b.txt")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_the_file_behind_it_is_written(tmp_path, there):
    (tmp_path / "models").mkdir()
    target, link = tmp_path / "models" / "v1", tmp_path / "live"
    if there:
        write(target, "old")
    link.symlink_to(Path("models", "v1"))
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="a link that leads to itself"):
        write(tmp_path / "a")


@pytest.mark.parametrize("overwrite", [True, False])
def test_pipes_and_devices_are_not_replaced(tmp_path, overwrite):
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (tmp_path / "pipe.onnx", tmp_path / "null"):
        with pytest.raises(OSError, match="is a device, a pipe"):
            check_new_file(path, overwrite=overwrite)
    assert (tmp_path / "pipe.onnx").is_fifo()


@pytest.mark.parametrize("write", [skpadim.save, skpadim.export_onnx, skpadim.export_openvino])
def test_no_function_replaces_a_pipe(tmp_path, detector, write):
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(OSError, match="is a device, a pipe"):
        write(detector, tmp_path / "pipe.xml", overwrite=True)
    assert (tmp_path / "pipe.xml").is_fifo()


def test_no_report_replaces_a_pipe(tmp_path, detector, parts):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a device, a pipe"):
        skpadim.report(detector, parts.images, path=tmp_path / "pipe", overwrite=True)
    assert (tmp_path / "pipe").is_fifo()


def test_a_model_that_is_linked_to_is_saved_behind_the_link(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 4))
    detector = PaDiM(embedder="passthrough").fit(X)
    target = skpadim.save(detector, tmp_path / "v1.skpadim")
    (tmp_path / "live.skpadim").symlink_to(target)
    detector.fit(X[:20])
    skpadim.save(detector, tmp_path / "live.skpadim", overwrite=True)
    assert skpadim.load(target).n_samples_seen_ == 20
    assert (tmp_path / "live.skpadim").is_symlink()


@contextmanager
def writer(path):
    """Start a process that writes a file, and is at it until it is told to end or is killed."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from skpadim._files import new_file\n"
        "with new_file(Path(sys.argv[1]), overwrite=True) as unfinished:\n"
        "    unfinished.write_text('theirs')\n"
        "    print(unfinished.parent.name, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", code, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, path.parent / process.stdout.readline().strip()
        finally:
            process.kill()


def test_what_a_killed_process_has_left_is_removed_by_the_next_write(tmp_path):
    with writer(tmp_path / "a.txt") as (process, folder):
        process.kill()
        process.wait()
    assert folder.is_dir()
    write(tmp_path / "b.txt")
    assert list(tmp_path.iterdir()) == [tmp_path / "b.txt"]


def test_what_another_process_is_writing_stays(tmp_path):
    with writer(tmp_path / "a.txt") as (process, folder):
        write(tmp_path / "b.txt")
        assert folder.is_dir()
        process.communicate("\n")
    assert process.returncode == 0
    assert (tmp_path / "a.txt").read_text() == "theirs"


@pytest.mark.parametrize(
    "name", [".skpadim-0123456789abcdef", ".skpadim-mine.part", "0123456789abcdef.part"]
)
def test_files_of_others_are_not_removed(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "lock").touch()
    write(tmp_path / "b.txt")
    assert (tmp_path / name / "lock").exists()
