"""Patch embeddings -> distances: one Gaussian per grid position."""

from skpadim.gaussian._moments import PatchMoments
from skpadim.gaussian._patch_gaussian import PatchGaussian

__all__ = ["PatchGaussian", "PatchMoments"]
