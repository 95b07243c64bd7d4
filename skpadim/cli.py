"""The command `skpadim`, for those who do not write Python, and for scripts.

What a command needs is imported when it runs: help, completion and wrong arguments take no time.
"""

import csv
import gc
import io
import json
import os
import re
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from skpadim import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tqdm import tqdm

    from skpadim import PaDiM
    from skpadim._streams import ImageStream
    from skpadim.images._frames import Frame

__all__: list[str] = []  # the command is what users see

_INTERRUPTED = 128 + 2  # as shells report who was ended by SIGINT
_NO_READER = 128 + 13  # and by SIGPIPE

# How often a waiting `watch` looks whether it is to stop, in seconds.
_NAP = 0.1

_Row = dict[str, Any]


def main() -> None:
    """Run the command on the arguments of this process."""
    # Imports make many objects that stay. To look through them for garbage takes 0.15 s
    # before the first result, and half a second when Python ends.
    gc.set_threshold(100_000)
    warnings.showwarning = _show_warning
    try:
        _commands(prog_name=None)
    finally:
        gc.freeze()


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


class _InputError(click.ClickException):
    """What cannot be used, in one line."""

    exit_code = 2


class _Commands(click.Group):
    """Commands whose errors are a line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            # What is left in the buffer must not be written when Python ends either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_NO_READER)
        except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
            # These are what the package raises for bad input. X is a name in Python.
            message = re.sub(r"^X\[\d+\], ", "", str(error)) or type(error).__name__
            raise _InputError(message) from error


def _examples(*lines: str) -> str:
    # click keeps the lines of a paragraph that a backspace begins.
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_examples(
        "skpadim fit parts/ok -o part.skpadim",
        "skpadim predict part.skpadim parts/new",
        "skpadim watch part.skpadim /mnt/camera -o results.csv",
    ),
)
@click.version_option(__version__)
def _commands() -> None:
    """Find defects in images after seeing good ones only.

    Results go to standard output, all else to standard error. The exit status is 0 if all went
    well, 1 if there are defects and --fail-on-defect was given, and 2 if an argument, a file or an
    image was bad, defects or not.
    """


_MODEL = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_RATE = click.FloatRange(0, 1, min_open=True, max_open=True)


class _Size(click.ParamType):
    name = "pixels"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", value)
        if match is None:
            self.fail(f"{value!r} is neither a number, as 224, nor HEIGHTxWIDTH, as 224x320.")
        height, width = match.groups()
        return int(height) if width is None else (int(height), int(width))


class _NumberOrShare(click.ParamType):
    name = "number or share"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | float:
        with suppress(ValueError):
            return int(value)
        with suppress(ValueError):
            return float(value)
        self.fail(f"{value!r} is neither a number, as 100, nor a share, as 0.5.")


def _with(*options: Callable) -> Callable:
    """Make one decorator of several."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_network_options = _with(
    click.option("--weights", type=_MODEL, help="File with the backbone's weights."),
    click.option("--device", help="Where the network runs: cpu, cuda, mps, ..."),
    click.option(
        "--engine",
        type=click.Choice(["auto", "torch", "openvino"]),
        help="What runs the network. OpenVINO, which auto takes if it is installed, is faster for "
        "each image, torch is ready a third of a second sooner.",
    ),
    click.option("--batch-size", type=click.IntRange(1), help="Images taken at a time."),
)
_overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what exists.")
_format_options = _with(
    click.option("--csv", "form", flag_value="csv", help="Comma-separated, with a header."),
    click.option("--jsonl", "form", flag_value="jsonl", help="One JSON object a line."),
)


@_commands.command(
    "fit",
    short_help="Learn from a folder of good images.",
    epilog=_examples(
        "skpadim fit parts/ok -o part.skpadim",
        "skpadim fit parts/ok -o part.skpadim --false-alarm-rate 0.01 --image-size 320",
    ),
)
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("-o", "--output", metavar="MODEL", type=_NEW_FILE, required=True)
@click.option("--backbone", default="efficientnet_lite0", show_default=True)
@click.option(
    "--image-size",
    type=_Size(),
    default="224",
    show_default=True,
    help="Height and width that images are resized to: N or HEIGHTxWIDTH.",
)
@click.option("--crop-size", type=_Size(), help="Height and width of the centre that is kept.")
@click.option("--grid-stride", type=click.IntRange(1), help="Pixels from patch to patch.")
@click.option(
    "--n-components",
    type=_NumberOrShare(),
    help="Dimensions that are kept, drawn at random: fewer make a smaller model.",
)
@click.option(
    "--false-alarm-rate",
    type=_RATE,
    default=0.05,
    show_default=True,
    help="Share of fresh good images that may be called defective.",
)
@click.option("--compact", is_flag=True, help="Halve the model, for 1e-5 of the scores.")
@click.option("--jpeg-draft", is_flag=True, help="Decode large JPEG files at a reduced scale.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32")
@click.option("--random-state", type=click.IntRange(0), default=0, show_default=True)
@click.option("--n-jobs", type=int, help="Processes; -1 is one for each core.")
@_network_options
@_overwrite_option
def _fit(
    folder: Path,
    output: Path,
    overwrite: bool,
    n_components: int | float | None,
    false_alarm_rate: float,
    compact: bool,
    random_state: int,
    n_jobs: int | None,
    **embedding: Any,
) -> None:
    """Learn from a folder of good images.

    All images in and below DIR are taken. A bad one is an error: what a model has seen should be
    known.
    """
    _refuse_existing(output, overwrite)
    from skpadim._image_files import find_images

    images = find_images(folder, argument="DIR")

    from skpadim import PaDiM, PatchEmbedder, save

    parameters = {name: value for name, value in embedding.items() if value is not None}
    detector = PaDiM(
        embedder=PatchEmbedder(**parameters),
        n_components=n_components,
        false_alarm_rate=false_alarm_rate,
        compact=compact,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=_on_terminal(),
    ).fit(images)
    # These are of this machine and this run.
    for embedder in (detector.embedder, detector.embedder_):
        embedder.set_params(device="auto", engine="auto")
    save(detector.set_params(verbose=0, n_jobs=None), output, overwrite=overwrite)
    _say(f"{output}: {_n_images(len(images))}, threshold {detector.offset_:.2f}")


@_commands.command(
    "predict",
    short_help="Tell good images from defective ones.",
    epilog=_examples(
        "skpadim predict part.skpadim parts/new",
        "skpadim predict part.skpadim parts/new --csv > results.csv",
        "skpadim predict part.skpadim 17.png --fail-on-defect --quiet || echo reject",
        "find /archive -name '*.jpg' | skpadim predict part.skpadim - --jsonl",
    ),
)
@click.argument("model", type=_MODEL)
@click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True))
@_format_options
@click.option(
    "--heatmaps",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write distances as 32-bit TIFF, at the size that images are resized to.",
)
@click.option(
    "--masks",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write defective pixels as PNG, 255 and else 0, at the size of each image.",
)
@click.option(
    "--report", "page", metavar="FILE.html", type=_NEW_FILE, help="Write an inspection page."
)
@click.option("--fail-on-defect", is_flag=True, help="Exit with status 1 if there is a defect.")
@click.option("--quiet", is_flag=True, help="No summary.")
@_network_options
@_overwrite_option
def _predict(
    model: Path,
    paths: tuple[str, ...],
    form: str | None,
    heatmaps: Path | None,
    masks: Path | None,
    page: Path | None,
    fail_on_defect: bool,
    quiet: bool,
    overwrite: bool,
    **network: Any,
) -> None:
    """Tell good images from defective ones.

    PATHS are images, folders with all images in and below them, or - for a list of paths on
    standard input. There is a line for each, in their order, as soon as it is known. Scores are
    those of score_samples: larger is more normal, and below the threshold is defective. A bad image
    has its line as well, with the reason.

    The mask of a/17.png is a/17.png.mask.png in its folder, the heatmap a/17.png.heatmap.tiff. A
    name begins where PATHS differ; with -, it is the whole path.
    """
    if page is not None:
        _refuse_existing(page, overwrite)
    folders = [Path(path) for path in paths if path != "-" and os.path.isdir(path)]
    outputs = [folder for folder in (heatmaps, masks) if folder is not None]
    _check_folders(folders, outputs, overwrite)
    root = None if "-" in paths else _common_folder(paths)
    detector = _load(model, network)
    write, lines = _echo, _Lines(form, ("path", "score", "threshold", "decision", "error"))
    counts: Counter[str] = Counter()
    good_files: list[str] = []
    with _bar(paths) as bar:
        _put(bar, write, lines.head)
        with closing(_inspect(detector, _listed(paths))) as batches:
            for batch in batches:
                for result in batch:
                    name = _name_below(root, result.frame.path)
                    if heatmaps is not None and not result.frame.error:
                        _write_heatmap(heatmaps / f"{name}.heatmap.tiff", result)
                    if masks is not None and not result.frame.error:
                        _write_mask(masks / f"{name}.mask.png", result, detector)
                    if page is not None and not result.frame.error:
                        good_files.append(result.frame.path)
                rows = [_row(detector, result) for result in batch]
                counts.update(row["decision"] for row in rows)
                _put(bar, write, "".join(map(lines.line, rows)))
                bar.update(len(batch))
    if page is not None and good_files:
        from skpadim import report

        report(
            detector.set_params(verbose=_on_terminal()), good_files, path=page, overwrite=overwrite
        )
    if not quiet:
        _say(_summary(counts, detector))
    _exit(counts, fail_on_defect)


@_commands.command(
    "watch",
    short_help="Score files as they appear in a folder.",
    epilog=_examples(
        "skpadim watch part.skpadim /mnt/camera -o results.csv",
        "skpadim watch part.skpadim /mnt/camera --jsonl | while read -r row; do ...; done",
        "skpadim watch part.skpadim /mnt/camera -o results.jsonl --once",
    ),
)
@click.argument("model", type=_MODEL)
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=_NEW_FILE,
    help="Append results to this .csv or .jsonl file instead of standard output.",
)
@_format_options
@click.option(
    "--interval",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Seconds from look to look.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Seconds that a bad file may take to become a good one.",
)
@click.option("--once", is_flag=True, help="End after the files that are there.")
@_network_options
def _watch(
    model: Path,
    folder: Path,
    output: Path | None,
    form: str | None,
    interval: float,
    grace: float,
    once: bool,
    **network: Any,
) -> None:
    """Score files as they appear in a folder, as cameras deliver them.

    A file in or below DIR is scored when it is finished: when its size and time have not changed
    from one look to the next. A bad one is tried again until --grace is over, then reported.

    Results are appended to FILE, each at once and whole. FILE is the memory as well: what it has
    is not scored again, after a restart either, unless the file has been written anew. SIGINT and
    SIGTERM end the command after the images at hand, with status 0.
    """
    if output is not None:
        if form is not None or output.suffix not in (".csv", ".jsonl"):
            raise click.UsageError(
                f"--output {output}: the name ends in .csv or .jsonl, which decides on the form."
            )
        form = output.suffix[1:]
    lines = _Lines(form, ("path", "modified", "score", "threshold", "decision", "error"))
    with _stop_signals() as stopped, _opened(output, lines) as (write, seen):
        detector = _load(model, network)
        files = _NewFiles(folder, 0.0 if once else grace, seen)
        counts: Counter[str] = Counter()
        with closing(_inspect(detector, files.arrivals(interval, once, stopped))) as batches:
            for batch in batches:
                for result in batch:
                    place = files.settle(result.frame)
                    if place is not None:
                        row = _row(detector, result) | place
                        counts[row["decision"]] += 1
                        write(lines.line(row))
                if stopped:
                    break
    _say(_summary(counts, detector))
    if once:
        _exit(counts, fail_on_defect=False)


@_commands.command(
    "evaluate",
    short_help="Measure on images with known defects.",
    epilog=_examples(
        "skpadim evaluate bottle.skpadim mvtec_ad/bottle",
    ),
)
@click.argument("model", type=_MODEL)
@click.argument("folder", metavar="DATASET_DIR", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_network_options
def _evaluate(model: Path, folder: Path, as_json: bool, **network: Any) -> None:
    """Measure on images with known defects.

    DATASET_DIR is laid out like a category of MVTec AD: test/good, test/<defect> and
    ground_truth/<defect>, with a mask 17_mask.png for each defective 17.png, beside train/good.
    """
    from skpadim.datasets import load_mvtec_ad, read_masks

    place = folder.absolute()
    data = load_mvtec_ad(place.parent, place.name)
    defective = data.y_test == -1
    if defective.all() or not defective.any():
        raise _InputError(f"{folder}/test must hold good and defective images.")
    detector = _load(model, network).set_params(verbose=_on_terminal())

    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    from skpadim.heatmaps import heatmap_scores
    from skpadim.metrics import aupro_score, pixel_roc_auc_score

    heatmaps = np.asarray(detector.predict_heatmap(data.X_test))
    masks = read_masks(data.masks_test, heatmaps.shape[1:])
    scores = heatmap_scores(heatmaps)
    alarms = scores < detector.offset_
    figures = {
        "image_auroc": float(roc_auc_score(defective, -scores)),
        "image_average_precision": float(average_precision_score(defective, -scores)),
        "pixel_auroc": pixel_roc_auc_score(masks, heatmaps),
        "aupro": aupro_score(masks, heatmaps, max_fpr=0.3),
        "threshold": float(detector.offset_),
        "n_good": int(np.sum(~defective)),
        "n_false_alarms": int(np.sum(alarms & ~defective)),
        "n_defective": int(np.sum(defective)),
        "n_missed": int(np.sum(~alarms & defective)),
    }
    if as_json:
        click.echo(json.dumps(figures))
        return
    _table(
        {
            "image AUROC": f"{figures['image_auroc']:.4f}",
            "average precision": f"{figures['image_average_precision']:.4f}",
            "pixel AUROC": f"{figures['pixel_auroc']:.4f}",
            "AUPRO, FPR <= 0.3": f"{figures['aupro']:.4f}",
            "false alarms": f"{figures['n_false_alarms']} of {figures['n_good']}",
            "missed": f"{figures['n_missed']} of {figures['n_defective']}",
        }
    )


@_commands.command(
    "calibrate",
    short_help="Set the threshold from other good images.",
    epilog=_examples(
        "skpadim calibrate part.skpadim parts/ok-today",
        "skpadim calibrate part.skpadim parts/ok-today --false-alarm-rate 0.01 -o strict.skpadim",
    ),
)
@click.argument("model", type=_MODEL)
@click.argument("folder", metavar="GOOD_DIR", type=_FOLDER)
@click.option(
    "-o", "--output", metavar="FILE", type=_NEW_FILE, help="Write here instead of into MODEL."
)
@click.option("--false-alarm-rate", type=_RATE, help="The model's own, if not given.")
@_network_options
@_overwrite_option
def _calibrate(
    model: Path,
    folder: Path,
    output: Path | None,
    false_alarm_rate: float | None,
    overwrite: bool,
    **network: Any,
) -> None:
    """Set the threshold from good images that the model has not seen.

    Without -o it is written into MODEL, with no need of --overwrite: that is what was asked for.
    """
    if output is not None:
        _refuse_existing(output, overwrite)
    from skpadim._image_files import find_images

    images = find_images(folder, argument="GOOD_DIR")

    from skpadim import load, save

    detector = _load(model, network, decides=False).set_params(verbose=_on_terminal())
    # The model as it was: how it ran here is not to be written.
    calibrated = load(model, weights=network["weights"])
    if false_alarm_rate is not None:
        for other in (detector, calibrated):
            other.set_params(false_alarm_rate=false_alarm_rate)
    detector.calibrate(images)
    before = getattr(calibrated, "offset_", None)
    calibrated.offset_ = detector.offset_
    calibrated.calibration_scores_ = detector.calibration_scores_
    save(calibrated, output or model, overwrite=overwrite or output is None)
    change = "" if before is None else f", was {before:.2f}"
    source = _n_images(len(images))
    _say(f"{output or model}: threshold {detector.offset_:.2f}{change}, from {source}")


@_commands.command(
    "export",
    short_help="Write a model that runs without Python.",
    epilog=_examples(
        "skpadim export part.skpadim part.onnx",
        "skpadim export part.skpadim part.xml --resize --precision float16",
        "skpadim export part.skpadim part.xml --precision int8 --calibration-images parts/ok",
    ),
)
@click.argument("model", type=_MODEL)
@click.argument("output", metavar="FILE", type=_NEW_FILE)
@click.option("--resize", is_flag=True, help="Take images of any size, not of the network's only.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Of OpenVINO's weights; int8 computes in 8 bits as well.",
)
@click.option(
    "--calibration-images",
    "folder",
    metavar="GOOD_DIR",
    type=_FOLDER,
    help="Good images that int8 takes its ranges from.",
)
@click.option("--weights", type=_MODEL, help="File with the backbone's weights.")
@_overwrite_option
def _export(
    model: Path,
    output: Path,
    resize: bool,
    precision: str,
    folder: Path | None,
    weights: Path | None,
    overwrite: bool,
) -> None:
    """Write a model that runs without Python: ONNX (.onnx) or OpenVINO (.xml and .bin)."""
    if output.suffix not in (".onnx", ".xml"):
        raise click.UsageError(f"{output}: the name must end in .onnx, or in .xml for OpenVINO.")
    if output.suffix == ".onnx" and precision != "float32":
        raise click.UsageError(f"--precision {precision} is for OpenVINO: {output} must be .xml.")
    _refuse_existing(output, overwrite)
    if output.suffix == ".xml":
        _refuse_existing(output.with_suffix(".bin"), overwrite)
    images = None
    if folder is not None:
        from skpadim._image_files import find_images

        images = find_images(folder, argument="--calibration-images")

    from skpadim import export_onnx, export_openvino

    detector = _load(model, {"weights": weights})
    if output.suffix == ".onnx":
        export_onnx(detector, output, resize=resize, overwrite=overwrite)
    else:
        export_openvino(
            detector,
            output,
            precision=precision,
            calibration_images=images,
            resize=resize,
            overwrite=overwrite,
        )
    _say(str(output))


@_commands.command(
    "info",
    short_help="Tell what is in a model.",
    epilog=_examples(
        "skpadim info part.skpadim",
    ),
)
@click.argument("model", type=_MODEL)
@click.option("--json", "as_json", is_flag=True, help="All that its header says, as JSON.")
def _info(model: Path, as_json: bool) -> None:
    """Tell what is in a model, and check that the file is whole."""
    from skpadim._model_files import read_header

    header = read_header(model)
    if as_json:
        click.echo(json.dumps(header._asdict()))
        return
    detector, embedder = header.detector, header.detector["embedder_"]
    rows = {"file": f"{model}, {model.stat().st_size / 1e6:.1f} MB, format {header.format}"}
    if isinstance(embedder, dict):
        crop = "" if embedder["crop_size"] is None else f", crop {_times(embedder['crop_size'])}"
        rows["backbone"] = embedder["backbone"]
        rows["weights"] = f"SHA-256 {detector['weights_hash_']}"
        rows["image size"] = f"{_times(embedder['image_size'])} pixels{crop}"
    else:
        rows["backbone"] = "none: it takes embeddings"
    rows["grid"] = f"{_times(detector['grid_shape_'])} positions"
    rows["learnt from"] = f"{detector['n_samples_seen_']} images"
    rows["threshold"] = f"{detector['offset_']:.4f}" if "offset_" in detector else "none yet"
    rows["false alarm rate"] = str(detector["parameters"]["false_alarm_rate"])
    rows["saved with"] = ", ".join(f"{name} {number}" for name, number in header.versions.items())
    _table(rows)


def _load(model: Path, network: dict[str, Any], *, decides: bool = True) -> "PaDiM":
    """Read a detector of images, to be run as the options say; one that decides has a threshold."""
    from skpadim import load

    network = {name: value for name, value in network.items() if value is not None}
    detector = load(model, weights=network.pop("weights", None))
    for embedder in (detector.embedder, detector.embedder_):
        if embedder == "passthrough":
            raise _InputError(f"{model} takes embeddings; this command is for images.")
        if not isinstance(embedder, str):
            embedder.set_params(**network)
    if decides and not hasattr(detector, "offset_"):
        raise _InputError(f"{model} has no threshold yet: skpadim calibrate {model} GOOD_DIR")
    return detector


def _refuse_existing(path: Path, overwrite: bool) -> None:
    from skpadim._files import check_new_file

    try:
        check_new_file(path, overwrite=overwrite)
    except FileExistsError as error:
        raise _InputError(f"{path} exists; give another name, or --overwrite.") from error
    except FileNotFoundError as error:
        raise _InputError(f"{path} lies in a folder that does not exist.") from error


class _Result(NamedTuple):
    """What a detector says of a file; nothing of a bad one."""

    frame: "Frame"
    stream: "ImageStream | None" = None
    heatmap: "NDArray[np.float32] | None" = None
    score: float | None = None


def _inspect(
    detector: "PaDiM", paths: Iterable[str | None]
) -> Generator[list[_Result], None, None]:
    """Score any number of files, of which some may be bad, batch by batch."""
    import numpy as np

    from skpadim.heatmaps import heatmap_scores
    from skpadim.images._frames import iter_frames

    embedder: Any = detector.embedder_
    size = _image_size(embedder)
    frames = iter_frames(paths, size, embedder.batch_size, embedder.jpeg_draft, embedder.resample)
    with closing(frames):
        for batch in frames:
            results = list(map(_Result, batch))
            good = [frame for frame in batch if frame.pixels is not None]
            if good:
                stream: Any = detector._open(
                    np.stack([frame.pixels for frame in batch if frame.pixels is not None])
                )
                heatmaps = np.concatenate(list(detector._iter_heatmaps(stream)))
                judged = map(
                    _Result, good, repeat(stream), heatmaps, heatmap_scores(heatmaps).tolist()
                )
                results = [_Result(frame) if frame.error else next(judged) for frame in batch]
            yield results


def _image_size(embedder: Any) -> tuple[int, int]:
    from skpadim._sizes import check_size

    return check_size(embedder.image_size, "image_size")


def _row(detector: "PaDiM", result: _Result) -> _Row:
    decision = "error"
    if result.score is not None:
        decision = "defective" if result.score - detector.offset_ < 0 else "good"
    return {
        "path": result.frame.path,
        "score": result.score,
        "threshold": detector.offset_,
        "decision": decision,
        "error": result.frame.error or None,
    }


class _Lines:
    """Rows as lines of text: "csv", "jsonl", or None for people; `fields` of each row are told."""

    def __init__(self, form: str | None, fields: tuple[str, ...]) -> None:
        self.form = form
        self._fields = fields
        self.head = self._csv(list(fields)) if form == "csv" else ""

    def line(self, row: _Row) -> str:
        values = {name: row[name] for name in self._fields}
        if self.form == "csv":
            return self._csv(list(values.values()))
        if self.form == "jsonl":
            return json.dumps(values) + "\n"
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        reason = "" if row["error"] is None else f": {row['error']}"
        return f"{row['decision']:<9} {score:>9}  {row['path']}{reason}\n"

    def remembered(self, text: io.TextIOBase) -> Iterator[tuple[str, str]]:
        """Iterate over the paths and times that lines were written for."""
        rows = csv.DictReader(text) if self.form == "csv" else map(json.loads, text)
        for row in rows:
            yield row["path"], row["modified"]

    @staticmethod
    def _csv(values: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue()


def _echo(text: str) -> None:
    # Names of files need not be Unicode.
    click.echo(os.fsencode(text), nl=False)


def _say(text: str) -> None:
    click.echo(os.fsencode(text), err=True)


def _table(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    _echo("".join(f"{name:<{width}}  {value}\n" for name, value in rows.items()))


def _times(size: int | Iterable[int]) -> str:
    return " x ".join(map(str, (size, size) if isinstance(size, int) else size))


def _summary(counts: Counter[str], detector: "PaDiM") -> str:
    bad = f", {counts['error']} bad" if counts["error"] else ""
    return (
        f"{_n_images(counts.total())}: {counts['good']} good, {counts['defective']} defective{bad} "
        f"(threshold {detector.offset_:.2f})"
    )


def _n_images(number: int) -> str:
    return f"{number} image" if number == 1 else f"{number} images"


def _exit(counts: Counter[str], fail_on_defect: bool) -> None:
    # Not all is known if a file was bad: that comes first.
    status = 2 if counts["error"] else int(fail_on_defect and counts["defective"] > 0)
    click.get_current_context().exit(status)


def _on_terminal() -> int:
    return int(sys.stderr.isatty())


def _bar(paths: tuple[str, ...]) -> "tqdm":
    from tqdm import tqdm

    shown = _on_terminal()
    # Counted first, and only for who looks: lists of all files would not stay small.
    total = sum(1 for _ in _listed(paths)) if shown and "-" not in paths else None
    return tqdm(total=total, unit=" images", file=sys.stderr, disable=not shown)


def _put(bar: "tqdm", write: Callable[[str], None], text: str) -> None:
    with bar.external_write_mode(file=sys.stdout):
        write(text)


def _listed(paths: tuple[str, ...]) -> Iterator[str | None]:
    from skpadim._image_files import iter_images

    for path in paths:
        if path == "-":
            yield from _from_stdin()
        elif os.path.isdir(path):
            yield from map(str, iter_images(Path(path)))
        else:
            yield path


def _from_stdin() -> Iterator[str | None]:
    """Iterate over lines; None where the next one has not come yet."""
    # A file of its own: Python, when it ends, would wait for a thread that reads sys.stdin.
    lines = open(os.dup(sys.stdin.fileno()), "rb")  # noqa: SIM115 (the thread has it)
    queue: Queue[bytes] = Queue(maxsize=1000)

    def read() -> None:
        for line in lines:
            queue.put(line)
        queue.put(b"")

    Thread(target=read, name="skpadim-stdin", daemon=True).start()
    while True:
        try:
            line = queue.get_nowait()
        except Empty:
            yield None
            line = queue.get()
        if not line:
            return
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _check_folders(inputs: list[Path], outputs: list[Path], overwrite: bool) -> None:
    from skpadim._image_files import IMAGE_EXTENSIONS, absolute, iter_images

    for folder in inputs:
        if next(iter_images(folder), None) is None:
            raise _InputError(
                f"{folder} has no image: nothing in or below it ends in one of "
                f"{', '.join(IMAGE_EXTENSIONS)}."
            )
        for output in outputs:
            if absolute(output).is_relative_to(absolute(folder)):
                raise _InputError(
                    f"{output} lies in {folder}, whose images would become those written there."
                )
    for output in outputs:
        if not overwrite and output.is_dir() and any(output.iterdir()):
            raise _InputError(f"{output} is not empty; give another folder, or --overwrite.")


def _common_folder(paths: tuple[str, ...]) -> str:
    """Return the folder that holds all images, and in which their names differ."""
    absolute = map(os.path.abspath, paths)
    return os.path.commonpath(
        [path if os.path.isdir(path) else os.path.dirname(path) for path in absolute]
    )


def _name_below(root: str | None, path: str) -> str:
    path = os.path.abspath(path)
    return os.path.relpath(path, root or Path(path).anchor)


def _write_heatmap(path: Path, result: _Result) -> None:
    from PIL import Image

    stream: Any = result.stream
    heatmap = stream.resized(result.heatmap, _image_size(stream.embedder))
    _write_image(path, Image.fromarray(heatmap), "TIFF")


def _write_mask(path: Path, result: _Result, detector: "PaDiM") -> None:
    import numpy as np
    from PIL import Image

    stream: Any = result.stream
    heatmap: Any = result.heatmap
    mask = detector._mask(heatmap, stream.resized(heatmap, result.frame.size))
    _write_image(path, Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)), "PNG")


def _write_image(path: Path, image: Any, form: str) -> None:
    from skpadim._files import new_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path, overwrite=True) as unfinished, open(unfinished, "wb") as file:
        image.save(file, form)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect signals to stop, which else would end the process at once."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        received.append(number)

    before = [
        signal.signal(number, lambda caught, _: received.append(caught)) for number in numbers
    ]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _opened(
    output: Path | None, lines: _Lines
) -> Iterator[tuple[Callable[[str], None], dict[str, str]]]:
    """Open what results are appended to; what it has is remembered."""
    if output is None:
        _echo(lines.head)
        yield _echo, {}
        return
    descriptor = os.open(output, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:

        def write(text: str) -> None:
            # In one piece, so that readers see whole lines, whoever else appends.
            content = os.fsencode(text)
            if os.write(descriptor, content) < len(content):
                raise OSError(f"{output} cannot be written: the disk is full.")

        _cut_unfinished_line(descriptor)
        try:
            with open(output, encoding="utf-8", errors="surrogateescape", newline="") as text:
                seen = dict(lines.remembered(text))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise _InputError(
                f"{output} holds something else than results of watch; give another name."
            ) from error
        if os.fstat(descriptor).st_size == 0:
            write(lines.head)
        yield write, seen
    finally:
        os.close(descriptor)


def _cut_unfinished_line(descriptor: int) -> None:
    """Remove what a crash has left of a line."""
    end = position = os.fstat(descriptor).st_size
    while position > 0:
        start = max(0, position - 4096)
        os.lseek(descriptor, start, os.SEEK_SET)
        block = os.read(descriptor, position - start)
        if (newline := block.rfind(b"\n")) >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(descriptor, position)


class _NewFiles:
    """Finished files of a folder; a bad one may become a good one for `grace` seconds.

    `seen` has the times of files that are done with, by their paths below the folder. What is no
    longer in the folder is forgotten, so that this grows with the folder and not with time.
    """

    def __init__(self, folder: Path, grace: float, seen: dict[str, str]) -> None:
        self._folder = folder
        self._grace = grace
        self._seen = seen
        self._before: dict[str, tuple[int, int]] = {}
        self._bad_since: dict[str, float] = {}
        self._trouble = ""

    def arrivals(self, interval: float, once: bool, stopped: list[int]) -> Iterator[str | None]:
        """Iterate over files that are finished; None before it takes another look."""
        looks = 0
        while not stopped:
            for name in self._look():
                if stopped:
                    return
                yield str(self._folder / name)
            looks += 1
            if once and looks == 2:
                return
            yield None
            end = time.monotonic() + interval
            # No event to wait for: a handler that sets one can block in what it has interrupted.
            while not stopped and (left := end - time.monotonic()) > 0:
                time.sleep(min(_NAP, left))

    def settle(self, frame: "Frame") -> _Row | None:
        """Return what to call a file in its row; None if it may yet become a good one."""
        name = self._name(frame.path)
        if frame.error:
            now = time.monotonic()
            if now - self._bad_since.setdefault(name, now) < self._grace:
                return None
        modified = _moment(self._before.pop(name)[0])
        self._bad_since.pop(name, None)
        self._seen[name] = modified
        return {"path": name, "modified": modified}

    def _name(self, path: str | Path) -> str:
        return Path(path).relative_to(self._folder).as_posix()

    def _look(self) -> list[str]:
        """List files that have not changed since the look before, oldest first."""
        from skpadim._image_files import iter_images

        seen, unseen = {}, {}
        try:
            for path in iter_images(self._folder):
                with suppress(FileNotFoundError):  # gone meanwhile
                    status, name = path.stat(), self._name(path)
                    modified = _moment(status.st_mtime_ns)
                    if self._seen.get(name) == modified:
                        seen[name] = modified
                    else:
                        unseen[name] = (status.st_mtime_ns, status.st_size)
        except OSError as error:
            # A share that is away for a while, say: not a reason to end, or to forget.
            if self._trouble != str(error):
                _say(f"Warning: {error}; trying again")
            self._trouble = str(error)
            return []
        self._trouble = ""
        finished = [name for name, state in unseen.items() if self._before.get(name) == state]
        self._seen, self._before = seen, unseen
        self._bad_since = {
            name: since for name, since in self._bad_since.items() if name in finished
        }
        return sorted(finished, key=lambda name: unseen[name][0])


def _moment(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds")
