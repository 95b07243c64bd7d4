"""PaDiM for scikit-learn: find defects in images after seeing good ones only."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skpadim._inspection import Inspection
    from skpadim._padim import PaDiM
    from skpadim.embedding import PatchEmbedder
    from skpadim.export import export_onnx, export_openvino
    from skpadim.gaussian import PatchGaussian
    from skpadim.persistence import load, save
    from skpadim.reporting import report

    __version__: str

__all__ = [
    "Inspection",
    "PaDiM",
    "PatchEmbedder",
    "PatchGaussian",
    "export_onnx",
    "export_openvino",
    "load",
    "report",
    "save",
]

_HOMES = {
    "Inspection": "skpadim._inspection",
    "PaDiM": "skpadim._padim",
    "PatchEmbedder": "skpadim.embedding",
    "PatchGaussian": "skpadim.gaussian",
    "export_onnx": "skpadim.export",
    "export_openvino": "skpadim.export",
    "load": "skpadim.persistence",
    "report": "skpadim.reporting",
    "save": "skpadim.persistence",
}


# scikit-learn and SciPy take a second to import, which `skpadim --help` and each completion of a
# command line would wait for: names are fetched when they are used.
def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name == "__version__":
        return import_module("importlib.metadata").version("skpadim")
    if not name.startswith("_") and any(module.name == name for module in iter_modules(__path__)):
        return import_module(f"skpadim.{name}")
    raise AttributeError(f"module 'skpadim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
