"""The page of the reference that scikit-learn's HTML representation of our estimators leads to."""

_PAGE = "https://sklearn-meta.readthedocs.io/en/latest/reference/generated/{path}.html"


class Documented:
    """An estimator whose class lies one file below the module that it is public in."""

    _doc_link_module = "sklearn_meta"
    _doc_link_template = _PAGE

    def _doc_link_url_param_generator(self):
        public, _, _ = type(self).__module__.rpartition(".")
        return {"path": f"{public}.{type(self).__name__}"}
