"""What `import sklearn_meta` costs beyond scikit-learn's own MLP."""

import subprocess
import sys

CODE = """
import sys, sklearn.neural_network
before = set(sys.modules)
import sklearn_meta
print(*(name for name in sys.modules if name not in before))
"""


def test_the_import_loads_next_to_nothing_but_this_package():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "sklearn_meta" in packages
    of_sklearn = {"sklearn", "_loss"}  # the latter is a module of scikit-learn 1.7
    assert packages <= {"sklearn_meta", "timeit", *of_sklearn}
    slow = {"sklearn.cluster", "sklearn.decomposition", "sklearn.gaussian_process"}
    assert not slow & set(done.stdout.split())
