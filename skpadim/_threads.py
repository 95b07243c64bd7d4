"""How many threads this process may use."""

import os

import joblib


def n_threads() -> int:
    """Tell how many threads this process may use.

    Returns
    -------
    int
        Number of cores at hand, or what the environment variable OMP_NUM_THREADS says, if less:
        that is where joblib's, dask's and ray's workers are told their share of a machine, and
        torch and BLAS read it as well.
    """
    n_cores = joblib.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(n_cores, int(limit))) if limit.isdecimal() else n_cores
