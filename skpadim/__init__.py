"""PaDiM for scikit-learn: find defects in images after seeing good ones only."""

__version__ = "0.1.0"
