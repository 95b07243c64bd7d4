"""Where the documentation is."""

SITE = "https://skpadim.readthedocs.io/en/stable/"


class DocLinkMixin:
    """Link to an estimator's page from its HTML representation, as scikit-learn's own have it."""

    _doc_link_module = "skpadim"
    _doc_link_template = SITE + "reference/generated/skpadim.{estimator_name}.html"
