"""Learning to learn from many small related data sets, as a scikit-learn estimator."""

from ._adapt import adapt
from ._few_shot_learner import FewShotLearner
from ._meta_learner import MetaLearner
from .tasks import TaskCollection

__version__ = "0.1.0.dev0"

__all__ = ["FewShotLearner", "MetaLearner", "TaskCollection", "__version__", "adapt"]
