"""n_jobs: the same results by several workers, of joblib and of dask, whatever becomes of them."""

import errno
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager
from copy import deepcopy

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib.parallel import ThreadingBackend
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skpadim import PaDiM, PatchEmbedder
from skpadim._passes import OneProcess, Shards, passes_over
from skpadim._streams import Stream
from skpadim._threads import n_threads
from skpadim.embedding import Passthrough
from skpadim.images import ImageSequence
from skpadim.model_selection import InlierKFold

few_images = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")
SAME = 1e-5  # relative: what other orders of adding up may change


def small_detector(batch_size=4, **parameters):
    embedder = PatchEmbedder(image_size=64, engine="torch", batch_size=batch_size)
    return PaDiM(embedder=embedder, random_state=0, **parameters)


@pytest.fixture(scope="module")
def new(parts):
    return parts.images[22:]


@pytest.fixture(scope="module")
def alone(good):
    """Detector fitted by a single process."""
    return small_detector().fit(good)


@pytest.fixture(scope="module")
def paths(good, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{i:02}.png" for i in range(len(good))]
    for path, image in zip(paths, good, strict=True):
        Image.fromarray(image).save(path)
    return paths


def assert_same(detector, expected, X):
    np.testing.assert_allclose(
        detector.calibration_scores_, expected.calibration_scores_, rtol=SAME
    )
    np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X), rtol=SAME)
    assert detector.offset_ == pytest.approx(expected.offset_, rel=SAME)


# The same results.


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_give_the_results_of_one_process(alone, good, new, backend):
    with joblib.parallel_config(backend):
        detector = small_detector(n_jobs=2).fit(good)
        assert_same(detector, alone, new)
        heatmaps = detector.predict_heatmap(new)
        masks = detector.predict_mask(new, size=33)
        np.testing.assert_array_equal(detector.score_samples(new), -heatmaps.max(axis=(1, 2)))
        np.testing.assert_array_equal(detector.predict(new) == -1, masks.any(axis=(1, 2)))
        assert detector.score(new) == pytest.approx(alone.score(new), rel=SAME)
    np.testing.assert_allclose(heatmaps, alone.predict_heatmap(new), rtol=SAME)
    np.testing.assert_array_equal(masks, alone.predict_mask(new, size=33))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_leave_out_the_same_images_together(good, new, backend):
    alone = small_detector(n_components=5, reduction="pca").fit(good)
    with joblib.parallel_config(backend):
        assert_same(clone(alone).set_params(n_jobs=2).fit(good), alone, new)


class InTurns(ThreadingBackend):
    """Backend that hands no result over before all are there, as ray's does not."""

    supports_return_generator = False


def test_backends_without_generators_do(alone, good, new):
    joblib.register_parallel_backend("in turns", InTurns)
    with joblib.parallel_config("in turns", n_jobs=2):
        assert_same(small_detector().fit(good), alone, new)


@few_images
@pytest.mark.parametrize("reduction", ["random", "pca"])
def test_workers_add_to_what_partial_fit_has_learnt(good, new, reduction):
    parameters = {"n_components": 5, "reduction": reduction}
    detectors = [small_detector(n_jobs=n_jobs, **parameters) for n_jobs in (1, 2)]
    for detector in detectors:
        detector.partial_fit(good[:10]).partial_fit(good[10:20]).calibrate(good[20:])
    assert_same(detectors[1], detectors[0], new)
    assert detectors[1].n_samples_seen_ == 20


def test_workers_take_embeddings_as_they_are():
    X = np.random.default_rng(0).normal(size=(40, 32, 32, 128))  # 1 MiB each, 16 a batch
    alone = PaDiM(embedder="passthrough", n_components=20, random_state=0).fit(X)
    assert_same(clone(alone).set_params(n_jobs=2).fit(X), alone, X)


@pytest.mark.filterwarnings("ignore:.*than the training images:UserWarning")
def test_heatmaps_at_each_images_own_size_come_in_order(alone, new):
    images = [image[: 60 + i] for i, image in enumerate(new)]
    # How many work decides nothing, so it may change after fit.
    detector = pickle.loads(pickle.dumps(alone)).set_params(n_jobs=2)
    heatmaps = detector.predict_heatmap(images, size="image")
    assert [heatmap.shape for heatmap in heatmaps] == [(60 + i, 96) for i in range(len(new))]
    for heatmap, expected in zip(heatmaps, alone.predict_heatmap(images, "image"), strict=True):
        np.testing.assert_allclose(heatmap, expected, rtol=SAME)


@pytest.mark.parametrize("kind", ["module", "function"])
def test_modules_and_functions_as_backbones_reach_the_workers(good, new, kind):
    def build():
        return torch.nn.Sequential(torch.nn.Conv2d(3, 6, 8, stride=8))

    backbone = build if kind == "function" else build()
    embedder = PatchEmbedder(backbone, layers=["0"], image_size=64, engine="torch", batch_size=4)
    detectors = [PaDiM(embedder=embedder, n_jobs=n_jobs).fit(good) for n_jobs in (1, 2)]
    assert_same(detectors[1], detectors[0], new)


@pytest.mark.slow
def test_a_search_whose_candidates_use_workers_as_well_gives_the_same(parts):
    search = GridSearchCV(
        small_detector(false_alarm_rate=0.1),
        {"n_components": [3, 30]},
        cv=InlierKFold(2),
        scoring="roc_auc",
    ).fit(parts.images, parts.y)
    nested = clone(search).set_params(n_jobs=2, estimator__n_jobs=2).fit(parts.images, parts.y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(nested.cv_results_[name], search.cv_results_[name])


# Shards.


def cells(n_samples, batch_size):
    """Samples of one number each, in batches of a size."""
    embedder = type("Passthrough", (Passthrough,), {"batch_size": batch_size})()
    return Stream(np.zeros((n_samples, 1, 1), np.float32), embedder.fit(np.zeros((1, 1))))


@settings(max_examples=50)
@given(
    n_samples=st.integers(1, 20_000),
    n_jobs=st.integers(2, 9),
    batch_size=st.sampled_from([1, 7, 32, 5000]),
)
def test_shards_are_of_whole_batches_and_neither_many_nor_large(n_samples, n_jobs, batch_size):
    stream = cells(n_samples, batch_size)
    with joblib.parallel_config("threading"):
        passes = passes_over(stream, n_jobs)
        if n_samples <= batch_size:
            assert isinstance(passes, OneProcess)
            return
        # Of each shard the sizes of its batches.
        batches = [sizes.tolist() for sizes in passes.map(lambda batch: [len(batch)], "")]
    sizes = [sum(shard) for shard in batches]
    assert sum(sizes) == n_samples
    assert all(shard == [batch_size] * len(shard) for shard in batches[:-1])
    assert all(size == sizes[0] for size in sizes[:-1])
    assert max(sizes) <= max(4096, batch_size)
    assert len(sizes) <= max(4 * n_jobs, n_samples / 4096 * 2)
    assert passes.n_steps == len(sizes)


def stream_of(images, memory=None, **parameters):
    embedder = PatchEmbedder(image_size=64, engine="torch", **{"batch_size": 4, **parameters})
    return Stream(ImageSequence(images), embedder, memory=memory)


def test_there_are_no_workers_unless_asked_for(good):
    stream = stream_of(good)
    assert isinstance(passes_over(stream, None), OneProcess)
    assert isinstance(passes_over(stream, 1), OneProcess)
    assert isinstance(passes_over(stream, 2), Shards)
    with joblib.parallel_config("threading", n_jobs=2):
        assert isinstance(passes_over(stream, None), Shards)
        assert isinstance(passes_over(stream, 1), OneProcess)


def test_a_shard_takes_along_its_own_images_only(good):
    images = ImageSequence(good)
    one, all_of_them = (len(pickle.dumps(images[:n])) for n in (1, len(good)))
    assert one < 1.1 * good[0].nbytes
    assert all_of_them > good.nbytes
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images[5:9]))[2], good[7])


def test_paths_and_caches_are_found_from_another_working_directory(paths, tmp_path, monkeypatch):
    monkeypatch.chdir(paths[0].parent)
    sent = pickle.dumps(stream_of([path.name for path in paths], memory="cache"))
    monkeypatch.chdir(tmp_path)
    assert sum(map(len, pickle.loads(sent).batches())) == len(paths)
    assert (paths[0].parent / "cache").is_dir()
    assert not list(tmp_path.iterdir())


def test_a_process_builds_one_network_for_all_shards(good):
    stream = stream_of(good)
    shards = [pickle.loads(pickle.dumps(stream.part(slice(i, i + 4)))) for i in (0, 4)]
    assert shards[0].embedder is shards[1].embedder
    assert shards[0].embedder is not stream.embedder
    other = pickle.loads(pickle.dumps(stream_of(good, batch_size=8)))
    assert other.embedder.batch_size == 8


class Weighing(ThreadingBackend):
    """Backend that notes how many bytes its workers would be sent."""

    n_bytes = 0

    def submit(self, func, callback=None):
        Weighing.n_bytes += len(cloudpickle.dumps(func))
        return super().submit(func, callback)

    def apply_async(self, func, callback=None):  # its name before joblib 1.5
        Weighing.n_bytes += len(cloudpickle.dumps(func))
        return super().apply_async(func, callback)


def test_scoring_workers_are_not_sent_the_moments_that_partial_fit_keeps(good, new):
    lean = small_detector(n_components=5).fit(good)
    heavy = small_detector(n_components=5).partial_fit(good)
    joblib.register_parallel_backend("weighing", Weighing)
    sent = []
    for detector in (lean, heavy):
        Weighing.n_bytes = 0
        with joblib.parallel_config("weighing", n_jobs=2):
            detector.score_samples(new)
        sent.append(Weighing.n_bytes)
    assert sent[1] == pytest.approx(sent[0], rel=0.01)
    assert sent[0] > len(new) * new[0].nbytes
    assert len(pickle.dumps(heavy.gaussian_)) > 1.5 * len(pickle.dumps(lean.gaussian_))


# Threads.


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("1", 1), ("1,2", 1), ("0", 1), ("100000", None), ("", None), ("many", None), (None, None)],
)
def test_openmps_limit_of_threads_is_kept(monkeypatch, variable, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert n_threads() == (expected or joblib.cpu_count())


@pytest.mark.usefixtures("all_cores")
def test_workers_share_the_cores_out_and_leave_this_process_alone(good):
    def threads():
        import torch

        return torch.get_num_threads(), n_threads()

    before = threads()
    small_detector(n_jobs=2).fit(good)
    assert threads() == before
    share = max(1, joblib.cpu_count() // 2)
    with joblib.parallel_config("loky"):
        assert (
            joblib.Parallel(n_jobs=2)(joblib.delayed(threads)() for _ in range(2))
            == [(share, share)] * 2
        )


# Memory, progress, callbacks.


def test_workers_share_what_memory_keeps(paths, alone, new, tmp_path, monkeypatch):
    detector = small_detector(n_jobs=2, memory=joblib.Memory(tmp_path, verbose=0)).fit(paths)
    assert_same(detector, alone, new)
    monkeypatch.setattr(PatchEmbedder, "iter_embed", None)  # nothing is embedded any more
    again = clone(detector).set_params(n_jobs=None).fit(paths)
    np.testing.assert_allclose(again.calibration_scores_, alone.calibration_scores_, rtol=SAME)


def test_progress_counts_images(good, capfd):
    small_detector(n_jobs=2, verbose=1).fit(good).predict(good)
    shown = capfd.readouterr().err
    for pass_ in ("Learning", "Calibrating", "Scoring"):
        assert f"{pass_}: 100%" in shown
    assert "24/24" in shown
    assert "images/s" in shown
    small_detector(n_jobs=2).fit(good)
    assert capfd.readouterr().err == ""


class Record:
    """Callback that counts shards, and stops after some number of them."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.n_ended = {"learn": 0, "calibrate": 0}

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "batch":
            return False
        part = context.parent.task_name
        self.n_ended[part] += 1
        return part == "learn" and self.n_ended[part] == self.stop_after


@few_images
def test_callbacks_see_a_shard_as_a_step_and_may_stop_after_it(good):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.8 has no callbacks")
    record, stopping = Record(), Record(stop_after=2)
    with joblib.parallel_config("threading"):
        small_detector(n_jobs=2).set_callbacks(record).fit(good)
        detector = small_detector(n_jobs=2).set_callbacks(stopping).fit(good)
    assert record.n_ended == {"learn": 6, "calibrate": 6}
    assert stopping.n_ended == {"learn": 2, "calibrate": 2}
    assert detector.n_samples_seen_ == len(detector.calibration_scores_) == 8


# What can go wrong.


def test_a_file_that_goes_bad_meanwhile_is_named_with_its_index(good, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(len(good))]
    for path, image in zip(paths, good, strict=True):
        Image.fromarray(image).save(path)
    images = ImageSequence(paths)
    paths[7].unlink()
    with pytest.raises(ValueError, match=r"X\[7\], '.*7\.png'"):
        small_detector(n_jobs=2).fit(images)


@pytest.mark.slow
def test_workers_tell_which_files_they_could_not_read(alone, good, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(16)]
    for path, image in zip(paths, good, strict=False):
        Image.fromarray(image).save(path)
    images = ImageSequence(paths, on_error="mark")
    for number in (3, 14):  # after the check, which has found all good
        paths[number].write_bytes(b"")
    detector = deepcopy(alone).set_params(n_jobs=2)
    message = r"^2 of 16 images .* X\[3\], .*3\.png', is not .* X\[14\], .*14\.png', is not "
    with pytest.warns(UserWarning, match=message):
        scores = detector.score_samples(images)
    assert np.flatnonzero(np.isnan(scores)).tolist() == list(images.errors) == [3, 14]
    others = np.delete(np.arange(16), [3, 14])
    np.testing.assert_allclose(scores[others], alone.score_samples(good[others]), rtol=SAME)


@pytest.mark.parametrize(
    ("n_jobs", "message"), [(0, "n_jobs == 0"), (1.5, "n_jobs"), ("all", "n_jobs")]
)
def test_impossible_numbers_of_workers_are_refused(good, n_jobs, message):
    with pytest.raises(ValueError, match=message):
        small_detector(n_jobs=n_jobs).fit(good)


def test_workers_are_not_for_other_devices_than_processors(monkeypatch):
    stream = cells(40_000, batch_size=32)
    monkeypatch.setattr(Stream, "device", "cuda")
    with pytest.raises(ValueError, match=r"n_jobs=2 .* device 'cuda': set n_jobs=None"):
        passes_over(stream, 2)
    with joblib.parallel_config("threading", n_jobs=2):
        assert isinstance(passes_over(stream, None), OneProcess)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_workers_are_refused_for_a_cuda_device(good):
    with pytest.raises(ValueError, match="device 'cuda'"):
        small_detector(n_jobs=2, embedder__device="cuda").fit(good)


def test_what_is_lost_again_and_again_is_an_error(good):
    class Lost(ThreadingBackend):
        n_submitted = 0

        def submit(self, func, callback=None):
            Lost.n_submitted += 1
            raise CancelledError("lost with its worker")

        apply_async = submit  # its name before joblib 1.5

    joblib.register_parallel_backend("lost", Lost)
    with joblib.parallel_config("lost", n_jobs=2), pytest.raises(CancelledError, match="lost with"):
        small_detector().fit(good)
    assert Lost.n_submitted == 4


INTERRUPTED = """
import sys
import numpy as np
from sklearn.base import clone
from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import make_inspection_images

if __name__ == "__main__":
    good = make_inspection_images(40, 0, image_size=64, random_state=0).images
    embedder = PatchEmbedder(image_size=64, engine="torch", batch_size=40)
    detector = PaDiM(embedder=embedder, n_jobs=2, verbose=1)
    before = detector.fit(good).decision_function(good)  # torch is imported, which bears no Ctrl-C
    if "unfitted" in sys.argv:
        detector = clone(detector)
    many = np.concatenate([good] * 60)
    try:
        detector.fit(many)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    if "fitted" in sys.argv:
        assert np.array_equal(detector.decision_function(good), before)
    else:
        assert not hasattr(detector, "gaussian_")
        assert np.allclose(detector.fit(good).decision_function(good), before, atol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("detector", ["fitted", "unfitted"])
def test_an_interrupted_fit_leaves_what_was_there_and_no_worker(tmp_path, wait_for, detector):
    script = tmp_path / "fit.py"
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script), detector],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            shown = ""
            # Workers are at it: of 2400 images some are learnt from, and most are not.
            while not re.search(r"Learning: +[1-9]\d*%\|.* \d+/2400 ", shown):
                more = process.stderr.read(1)
                assert more, shown
                shown += more
            # Ctrl-C in a terminal reaches the workers as well.
            (os.killpg if detector == "fitted" else os.kill)(process.pid, signal.SIGINT)
            printed, _ = process.communicate(timeout=120)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # else the end of "with" would wait for it
            raise
    assert printed == "interrupted\n"
    assert process.returncode == 0
    wait_for(lambda: is_gone(process.pid))


def is_gone(group):
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


# Nothing at all can be written, or all but embeddings; joblib warns of what it can do without.
@pytest.mark.filterwarnings("ignore:Unable to (cache|write)")
@pytest.mark.parametrize("n_bytes", [0, 20_000])
def test_where_memory_cannot_be_written_a_fit_warns_and_goes_on(
    good, alone, tmp_path, full_disk, n_bytes
):
    with full_disk(n_bytes), pytest.warns(Warning, match="(?s)(written|to disk).*File too large"):
        detector = small_detector(memory=str(tmp_path)).fit(good)
    np.testing.assert_allclose(detector.calibration_scores_, alone.calibration_scores_, rtol=SAME)


def test_any_memory_on_a_full_disk_is_given_up_with_one_warning_a_pass(good, alone):
    class OnFullDisk:
        def cache(self, function, ignore):
            def write(*arguments):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            return write

    with pytest.warns(UserWarning, match="cannot be written .*No space left") as warned:
        detector = small_detector(memory=OnFullDisk()).fit(good)
    assert len(warned) == 1  # all embeddings stay in this process for the second pass
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(detector.calibration_scores_, alone.calibration_scores_)


# dask: worker processes that are sent what they need.


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs skpadim[dask]")
    with distributed.LocalCluster(
        n_workers=2,
        processes=True,
        threads_per_worker=1,
        dashboard_address=None,
        host="127.0.0.1",
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=120)
        with joblib.parallel_config("dask"):
            yield client


@contextmanager
def killing(client, wanted):
    """Kill a worker as soon as one is wanted, in the background; yields a list with its address."""
    processes = client.run(os.getpid)
    killed = []
    left = threading.Event()

    def watch():
        while not killed and not left.is_set():
            for address in wanted():
                os.kill(processes[address], signal.SIGKILL)
                killed.append(address)
                return
            left.wait(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        left.set()
        thread.join()


@pytest.mark.slow
def test_dask_gives_the_results_of_one_process_on_real_images(client, real_data):
    bottle = real_data("bottle")
    alone = PaDiM(n_jobs=1).fit(bottle.X_train)
    detector = PaDiM().fit(bottle.X_train)
    np.testing.assert_allclose(detector.calibration_scores_, alone.calibration_scores_, rtol=SAME)
    scores = detector.score_samples(bottle.X_test)
    np.testing.assert_allclose(scores, alone.score_samples(bottle.X_test), rtol=SAME)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_a_worker_killed_in_a_shard_changes_nothing(client, paths, new):
    many = paths * 20
    alone = small_detector(n_jobs=1, n_components=8).fit(many)

    def busy():
        executing = client.run(lambda dask_worker: len(dask_worker.state.executing))
        return [address for address, n in executing.items() if n]

    with killing(client, busy) as killed:
        detector = small_detector(n_components=8).fit(many)
    assert len(killed) == 1
    assert detector.n_samples_seen_ == len(many)
    assert_same(detector, alone, new)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_a_worker_killed_with_what_it_alone_was_sent_changes_nothing(client, paths, new):
    many = paths * 20
    alone = small_detector(n_jobs=1).fit(many)

    def holders_of_the_model():
        def look(dask_scheduler):
            tasks = dask_scheduler.tasks.items()
            return [[w.address for w in t.who_has] for key, t in tasks if "_Mapped" in str(key)]

        return [addresses[0] for addresses in client.run_on_scheduler(look) if len(addresses) == 1]

    with killing(client, holders_of_the_model) as killed:
        detector = small_detector().fit(many)
    assert len(killed) == 1
    assert_same(detector, alone, new)


@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
@pytest.mark.slow
def test_moments_go_over_the_wire_not_images_nor_embeddings(client, paths):
    def count():
        from distributed.comm.tcp import TCP

        TCP.uncounted, TCP.n_bytes = TCP.write, 0

        async def write(self, message, serializers=None, on_error="message"):
            n_bytes = await TCP.uncounted(self, message, serializers, on_error)
            TCP.n_bytes += n_bytes
            return n_bytes

        TCP.write = write

    def counted():
        from distributed.comm.tcp import TCP

        TCP.write = TCP.uncounted
        return TCP.n_bytes

    many = paths * 20
    detector = small_detector(n_components=10, batch_size=60)
    detector.fit(many)  # workers have imported what they need, and built the network
    client.run(count)
    count()  # here are the client and the scheduler, which passes everything on
    detector.fit(many)
    by_workers, from_here = sum(client.run(counted).values()), counted()
    moments = 64 * (10 * 11 // 2 + 10) * 8  # of a shard: positions, triangle and mean, float64
    embeddings = len(many) * 64 * 10 * 4
    pixels = len(many) * 64 * 64 * 3
    assert 8 * moments < by_workers < embeddings / 2
    assert 8 * moments < from_here < pixels / 5
