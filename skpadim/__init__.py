"""PaDiM for scikit-learn: find defects in images after seeing good ones only."""

from skpadim.gaussian import PatchGaussian

__all__ = ["PatchGaussian"]
__version__ = "0.1.0"
