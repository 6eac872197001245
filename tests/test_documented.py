"""scikit-learn's HTML representation of what is ours leads to its page in the reference."""

import pytest
from sklearn.neural_network import MLPRegressor

from sklearn_meta import FewShotLearner, MetaLearner, baselines
from sklearn_meta.algorithms import ALGORITHMS, MAML

PUBLIC = {
    "sklearn_meta.MetaLearner": MetaLearner(MLPRegressor()),
    "sklearn_meta.FewShotLearner": FewShotLearner(MetaLearner(MLPRegressor())),
    **{
        f"sklearn_meta.baselines.{name}": getattr(baselines, name)(MLPRegressor())
        for name in baselines.__all__
    },
    **{f"sklearn_meta.algorithms.{cls.__name__}": cls() for cls in ALGORITHMS.values()},
}


@pytest.mark.parametrize(("name", "estimator"), PUBLIC.items(), ids=PUBLIC)
def test_the_representation_links_to_the_page_of_the_public_name(name, estimator):
    assert f'/reference/generated/{name}.html"' in estimator._repr_html_()


def test_a_class_of_somebody_elses_has_no_page_here():
    class OwnMAML(MAML):
        pass

    assert OwnMAML()._get_doc_link() == ""
