"""The commands and their options.

What a command needs is imported when it runs: help, completion and wrong arguments take no time.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from skpadim import __version__
from skpadim.cli._inputs import (
    InputError,
    NumberOrShare,
    Size,
    Weights,
    check_folders,
    common_folder,
    listed,
    load_detector,
    name_below,
    refuse_existing,
)
from skpadim.cli._results import (
    Lines,
    echo,
    image_size,
    inspect,
    n_images,
    on_terminal,
    progress_bar,
    put,
    row_of,
    say,
    summary,
    table,
    times,
    to_json,
    write_pictures,
)
from skpadim.cli._text import visible
from skpadim.cli._watch import NewFiles, opened, stop_signals
from skpadim.cli._words import in_words

_INTERRUPTED = 128 + 2  # as shells report who was ended by SIGINT
_NO_READER = 128 + 13  # and by SIGPIPE


class _Command(click.Command):
    """Command whose errors are a line in the words of its options."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
            # These are what the package raises for bad input.
            raise InputError(in_words(str(error)) or "there is not enough memory.") from error


class _Commands(click.Group):
    """Commands, which end with a status that says how it went."""

    command_class = _Command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            # What is left in the buffer must not be written when Python ends either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_NO_READER)


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
def commands() -> None:
    """Find defects in images after seeing good ones only.

    Results go to standard output, all else to standard error. The exit status is 0 if all went
    well, 1 if there are defects and --fail-on-defect was given, and 2 if an argument, a file or an
    image was bad, defects or not.
    """


_MODEL = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_RATE = click.FloatRange(0, 1, min_open=True, max_open=True)


def _with(*options: Callable) -> Callable:
    """Make one decorator of several."""

    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_weights_option = click.option(
    "--weights",
    type=Weights(),
    help="File with the backbone's weights, or imagenet: those, downloaded if need be.",
)
_network_options = _with(
    _weights_option,
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


@commands.command(
    "fit",
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
    type=Size(),
    default="224",
    show_default=True,
    help="Height and width that images are resized to: N or HEIGHTxWIDTH.",
)
@click.option("--crop-size", type=Size(), help="Height and width of the centre that is kept.")
@click.option("--grid-stride", type=click.IntRange(1), help="Pixels from patch to patch.")
@click.option(
    "--n-components",
    type=NumberOrShare(),
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
@click.option("--random-state", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
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
    refuse_existing(output, overwrite)
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
        verbose=on_terminal(),
    ).fit(images)
    # These are of this machine and this run.
    for embedder in (detector.embedder, detector.embedder_):
        embedder.set_params(device="auto", engine="auto")
    save(detector.set_params(verbose=0, n_jobs=None), output, overwrite=overwrite)
    say(f"{output}: {n_images(len(images))}, threshold {detector.offset_:.2f}")


@commands.command(
    "predict",
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
        refuse_existing(page, overwrite)
    folders = [Path(path) for path in paths if path != "-" and os.path.isdir(path)]
    outputs = [folder for folder in (heatmaps, masks) if folder is not None]
    check_folders(folders, outputs, overwrite)
    root = None if "-" in paths else common_folder(paths)
    from skpadim._image_files import PassedOver

    passed_over = PassedOver()
    detector = load_detector(model, network)
    size = image_size(detector.embedder_)
    write, lines = echo, Lines(form, ("path", "score", "threshold", "decision", "error"))
    counts: Counter[str] = Counter()
    good_files: list[str] = []
    with progress_bar(paths) as bar:
        put(bar, write, lines.head)
        with closing(inspect(detector, listed(paths, passed_over))) as batches:
            for batch in batches:
                rows = []
                for result in batch:
                    row = row_of(detector, result)
                    if result.inspection is not None:
                        name = name_below(root, result.frame.path)
                        reason = write_pictures(heatmaps, masks, name, result, size)
                        if reason is not None:
                            row |= {"decision": "error", "error": reason}
                        if page is not None:
                            good_files.append(result.frame.path)
                    rows.append(row)
                    counts[row["decision"]] += 1
                put(bar, write, "".join(map(lines.line, rows)))
                bar.update(len(batch))
    if page is not None and good_files:
        from skpadim import report

        report(
            detector.set_params(verbose=on_terminal()), good_files, path=page, overwrite=overwrite
        )
    for trouble in passed_over.troubles:
        say(f"Warning: {trouble}")
    if not quiet:
        if passed_over.kinds:
            say(f"passed over: {passed_over.kinds}")
        say(summary(counts, detector))
    counts["error"] += len(passed_over.unread)
    _exit(counts, fail_on_defect)


@commands.command(
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
            name = visible(str(output))
            raise click.UsageError(
                f"--output {name}: the name ends in .csv or .jsonl, which decides on the form."
            )
        form = output.suffix[1:]
        refuse_existing(output, overwrite=True)
    lines = Lines(form, ("path", "modified", "score", "threshold", "decision", "error"))
    with stop_signals() as stopped, opened(output, lines) as (write, seen):
        detector = load_detector(model, network)
        files = NewFiles(folder, output, 0.0 if once else grace, seen)
        counts: Counter[str] = Counter()
        with closing(inspect(detector, files.arrivals(interval, once, stopped))) as batches:
            for batch in batches:
                for result in batch:
                    place = files.settle(result.frame)
                    if place is not None:
                        row = row_of(detector, result) | place
                        counts[row["decision"]] += 1
                        write(lines.line(row))
                if stopped:
                    break
    say(summary(counts, detector))
    if once:
        counts["error"] += files.n_unread
        _exit(counts, fail_on_defect=False)


@commands.command("evaluate", epilog=_examples("skpadim evaluate bottle.skpadim mvtec_ad/bottle"))
@click.argument("model", type=_MODEL)
@click.argument("folder", metavar="DATASET_DIR", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_network_options
def _evaluate(model: Path, folder: Path, as_json: bool, **network: Any) -> None:
    """Measure on images with known defects.

    DATASET_DIR is laid out like a category of MVTec AD: test/good, test/<defect> and
    ground_truth/<defect>, with a mask 17_mask.png for each defective 17.png, beside train/good.
    """
    for part in ("train/good", "test"):
        if not (folder / part).is_dir():
            raise InputError(
                f"{folder} is not laid out like a category of MVTec AD: {folder / part} is missing."
            )
    from skpadim.datasets import load_mvtec_ad, read_masks

    place = folder.absolute()
    data = load_mvtec_ad(place.parent, place.name)
    defective = data.y_test == -1
    if defective.all() or not defective.any():
        raise InputError(f"{folder}/test must hold good and defective images.")
    detector = load_detector(model, network).set_params(verbose=on_terminal())

    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    from skpadim.heatmaps import heatmap_scores
    from skpadim.metrics import aupro_score, pixel_roc_auc_score

    heatmaps = np.asarray(detector.predict_heatmap(data.X_test))
    masks = read_masks(data.masks_test, heatmaps.shape[1:])
    scores = heatmap_scores(heatmaps)
    alarms = ~(scores >= detector.offset_)
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
        click.echo(to_json(figures))
        return
    table(
        {
            "image AUROC": f"{figures['image_auroc']:.4f}",
            "average precision": f"{figures['image_average_precision']:.4f}",
            "pixel AUROC": f"{figures['pixel_auroc']:.4f}",
            "AUPRO, FPR <= 0.3": f"{figures['aupro']:.4f}",
            "false alarms": f"{figures['n_false_alarms']} of {figures['n_good']}",
            "missed": f"{figures['n_missed']} of {figures['n_defective']}",
        }
    )


@commands.command(
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
        refuse_existing(output, overwrite)
    from skpadim._image_files import find_images

    images = find_images(folder, argument="GOOD_DIR")

    from skpadim import load, save

    detector = load_detector(model, network, decides=False).set_params(verbose=on_terminal())
    # The model as it was: how it ran here is not to be written.
    calibrated = load(model, weights=network["weights"])
    before = getattr(calibrated, "offset_", None)
    if false_alarm_rate is not None:
        for other in (detector, calibrated):
            other.set_params(false_alarm_rate=false_alarm_rate)
    detector.calibrate(images)
    calibrated._take_threshold(detector)
    save(calibrated, output or model, overwrite=overwrite or output is None)
    change = "" if before is None else f", was {before:.2f}"
    source = n_images(len(images))
    say(f"{output or model}: threshold {detector.offset_:.2f}{change}, from {source}")


@commands.command(
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
@_weights_option
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
        name = visible(str(output))
        raise click.UsageError(f"{name}: the name must end in .onnx, or in .xml for OpenVINO.")
    if output.suffix == ".onnx" and precision != "float32":
        name = visible(str(output))
        raise click.UsageError(f"--precision {precision} is for OpenVINO: {name} must be .xml.")
    if folder is not None and precision != "int8":
        raise click.UsageError("--calibration-images are for --precision int8.")
    refuse_existing(output, overwrite)
    if output.suffix == ".xml":
        refuse_existing(output.with_suffix(".bin"), overwrite)
    images = None
    if folder is not None:
        from skpadim._image_files import find_images

        images = find_images(folder, argument="--calibration-images")

    from skpadim import export_onnx, export_openvino

    detector = load_detector(model, {"weights": weights})
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
    say(str(output))


@commands.command(
    "info",
    short_help="Tell what is in a model.",
    epilog=_examples("skpadim info part.skpadim"),
)
@click.argument("model", type=_MODEL)
@click.option("--json", "as_json", is_flag=True, help="All that its header says, as JSON.")
def _info(model: Path, as_json: bool) -> None:
    """Tell what is in a model, and check that the file is whole."""
    from skpadim._model_files import read_header, refusal

    header = read_header(model)
    if as_json:
        click.echo(to_json(header._asdict()))
        return
    try:
        rows = _what_is_in(model, header)
    except (AttributeError, KeyError, TypeError) as error:
        raise refusal(model, f"its header is damaged ({error!r})") from error
    table(rows)


def _what_is_in(model: Path, header: Any) -> dict[str, str]:
    detector, embedder = header.detector, header.detector["embedder_"]
    rows = {"file": f"{model}, {model.stat().st_size / 1e6:.1f} MB, format {header.format}"}
    if "backbone" in embedder:
        crop = "" if embedder["crop_size"] is None else f", crop {times(embedder['crop_size'])}"
        rows["backbone"] = embedder["backbone"]
        rows["weights"] = f"SHA-256 {detector['weights_hash_']}"
        rows["image size"] = f"{times(embedder['image_size'])} pixels{crop}"
    else:
        rows["backbone"] = "none: it takes embeddings"
    rows["grid"] = f"{times(detector['grid_shape_'])} positions"
    rows["learnt from"] = f"{detector['n_samples_seen_']} images"
    rows["threshold"] = f"{detector['offset_']:.4f}" if "offset_" in detector else "none yet"
    rows["false alarm rate"] = str(detector["parameters"]["false_alarm_rate"])
    rows["saved with"] = ", ".join(f"{name} {number}" for name, number in header.versions.items())
    return rows


def _exit(counts: Counter[str], fail_on_defect: bool) -> None:
    # Not all is known if a file was bad: that comes first.
    status = 2 if counts["error"] else int(fail_on_defect and counts["defective"] > 0)
    click.get_current_context().exit(status)
