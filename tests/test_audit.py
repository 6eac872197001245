"""Nothing is executed, unpickled, written or sent by what learns and predicts.

Python's own audit events say what happens, once lazy imports are done.
"""

import subprocess
import sys

CODE = """
import sys

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn_meta import MetaLearner, adapt
from sklearn_meta.algorithms import ALGORITHMS

FORBIDDEN = "exec", "compile", "import", "pickle.find_class", "marshal.loads"
FAMILIES = ("socket", "subprocess", "ctypes.dlopen", "shutil", "ftplib", "urllib", "sqlite3")
SYSTEM = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename",
    "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "tempfile")
found, watching = [], False

def watch(event, args):
    wrong = event in FORBIDDEN or event.startswith(FAMILIES + SYSTEM)
    if watching and (wrong or event == "open"):
        found.append((event, str(args)[:200]))

def use(algorithm, mlp, y):
    meta = MetaLearner(mlp, algorithm, max_iter=3, random_state=0, handle_unknown="prior")
    meta.fit(X, y, groups).partial_fit(X, y, groups)
    meta.fit_adapt(X[:9], y[:9]).predict(X)
    meta.predict(X, groups)
    meta.score(X, y, groups=groups)
    adapt(meta, X[:9], y[:9]).predict(X)
    meta.adapt(X[:9], y[:9]).predict(X)
    meta.learner_.fit(X[:9], y[:9]).predict(X)

rng = np.random.RandomState(0)
X, groups = rng.normal(size=(60, 2)), np.arange(60) // 10
TARGETS = {MLPRegressor: X[:, 0], MLPClassifier: np.where(X[:, 0] > 0, "yes", "no")}

def use_all():
    for name, cls in ALGORITHMS.items():
        for mlp, y in TARGETS.items():
            if mlp().loss in cls.losses:
                use(name, mlp(hidden_layer_sizes=(4,)), y)

use_all()
sys.addaudithook(watch)
watching = True
use_all()
watching = False
for event in dict.fromkeys(found):
    print(*event)

watching = True  # the hook hears of what it should
eval("1")
open(sys.executable, "rb").close()
assert {"exec", "compile", "open"} <= {event for event, _ in found}, found
"""


def test_learning_and_predicting_touch_nothing_outside():
    """With every algorithm: no file, socket or process, and nothing evaluated or unpickled."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
