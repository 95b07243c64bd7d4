"""What a search over n_components costs on embeddings, and what shared moments would save.

On one category laid out like MVTec AD: GridSearchCV on PatchGaussian, a plain loop over the same
fits and scores, and a prototype of a search that makes the moments of each fold once, and derives
those of all training sets and random subsets from them.

    python benchmarks/search.py ROOT bottle
"""

import argparse
import time

import numpy as np
from sklearn.model_selection import GridSearchCV

from skpadim import PatchEmbedder, PatchGaussian
from skpadim.datasets import load_mvtec_ad
from skpadim.gaussian import PatchMoments
from skpadim.model_selection import InlierKFold, image_roc_auc

CANDIDATES = [20, 50, 100, 140, 176]
FOLDS = InlierKFold(5)


def grid_search(X, y):
    search = GridSearchCV(
        PatchGaussian(random_state=0),
        {"n_components": CANDIDATES},
        cv=FOLDS,
        scoring=image_roc_auc,
        refit=False,
    )
    return search.fit(X, y).cv_results_["mean_test_score"]


def plain_loop(X, y):
    scores = [
        [
            image_roc_auc(
                PatchGaussian(n_components=n, random_state=0).fit(X[train]), X[test], y[test]
            )
            for n in CANDIDATES
        ]
        for train, test in FOLDS.split(X, y)
    ]
    return np.mean(scores, axis=0)


def shared_moments(X, y):
    X = X.reshape(len(X), -1, X.shape[-1])
    folds = list(FOLDS.split(X, y))
    parts = [PatchMoments().update(X[test[y[test] == 1]]) for _, test in folds]
    scores = []
    for held_out, (_, test) in enumerate(folds):
        moments = PatchMoments()
        for number, part in enumerate(parts):
            if number != held_out:
                moments.merge(part)
        models = (PatchGaussian(n_components=n, random_state=0) for n in CANDIDATES)
        scores.append([image_roc_auc(m.fit_moments(moments), X[test], y[test]) for m in models])
    return np.mean(scores, axis=0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category")
    arguments = parser.parse_args()
    data = load_mvtec_ad(arguments.root, arguments.category)
    y = np.concatenate([np.ones(len(data.X_train), dtype=int), data.y_test])
    X = PatchEmbedder().transform([*data.X_train, *data.X_test])
    print(f"{len(CANDIDATES)} candidates x 5 folds, {len(y)} images\n")
    print(f"{'':16}{'run 1':>8}{'run 2':>8}{'run 3':>8}   mean AUROC of {CANDIDATES}")
    for search in (grid_search, plain_loop, shared_moments):
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            scores = search(X, y)
            seconds.append(time.perf_counter() - start)
        name = search.__name__.replace("_", " ")
        print(f"{name:16}" + "".join(f"{s:7.1f}s" for s in seconds) + f"   {np.round(scores, 4)}")


if __name__ == "__main__":
    main()
