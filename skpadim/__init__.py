"""PaDiM for scikit-learn: find defects in images after seeing good ones only."""

from skpadim._padim import PaDiM
from skpadim._report import report
from skpadim.embedding import PatchEmbedder
from skpadim.gaussian import PatchGaussian
from skpadim.persistence import load, save

__all__ = ["PaDiM", "PatchEmbedder", "PatchGaussian", "load", "report", "save"]
__version__ = "0.1.0"
