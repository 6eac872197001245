"""
Learn new letters from one of each
==================================

Whoever can read learns a new alphabet from a single look at each letter. Can a network, and what
of that is learned, and what is a good choice of features?

One that has been trained to tell Latin letters apart knows those and no others. A
:class:`~sklearn_meta.MetaLearner` learns from many tasks of few letters each what tells letters
apart, and so takes up new ones. Letters are those of the twelve typefaces that matplotlib brings
along, put down a little crooked. It trains on Latin, Greek, Cyrillic and the phonetic alphabet, and
is asked about Armenian and Georgian: of twenty letters it has never seen one of each is shown, and
others are to be recognised, in whatever typeface.

Whoever runs this example needs :download:`gradients.py </../examples/gradients.py>` and
:download:`glyphs.py </../examples/glyphs.py>` beside it.
"""

import matplotlib.pyplot as plt
import numpy as np
from glyphs import SHAPE, known_letters, new_letters
from gradients import gradients
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_meta import MetaLearner
from sklearn_meta.tasks import ImageJitter, NWayKShot

# %%
# Each letter in each typeface, 20 x 20 pixels from 0 to 255, flattened to a row, a little crooked:
# ``glyphs.py`` draws them. Latin, Greek, Cyrillic and phonetic letters are known, Armenian and
# Georgian ones are new.

(X, y), (X_new, y_new) = known_letters(), new_letters()
print(f"{len(set(y))} letters to train on, {len(set(y_new))} that are new, in 12 typefaces")

# %%
# Training tasks, drawn by :class:`~sklearn_meta.tasks.NWayKShot`: 20 letters, one of each to learn
# from, 5 to be recognised. ``augment`` redraws the images of each task
# (:class:`~sklearn_meta.tasks.ImageJitter`), so that no letter is ever seen twice in the same way.

shape = {"n_way": 20, "n_shots": 1, "n_query": 5}
as_drawn = NWayKShot(X, y, **shape)
redrawn = NWayKShot(X, y, **shape, augment=ImageJitter(SHAPE))

# %%
# The same network sees pixels, or how strongly edges run in each direction, by the few lines of
# ``gradients.py``, a step before it. Augmentation is of rows as they come, before the steps of a
# Pipeline. The algorithm is :class:`~sklearn_meta.algorithms.Prototypes`: the nearest class mean,
# of what the network makes of the images.

mlp = MLPClassifier(hidden_layer_sizes=(128, 64))
as_gradients = FunctionTransformer(gradients, kw_args={"shape": SHAPE})
edges = make_pipeline(as_gradients, mlp)
learned = {
    "prototypes, pixels": (mlp, as_drawn),
    "prototypes, gradients": (edges, as_drawn),
    "prototypes, gradients, redrawn": (edges, redrawn),
}

# %%
# Judged by 100 tasks of new letters, which are not redrawn, and beside the nearest of the letters
# shown, which has learned nothing: by its pixels, and by its gradients. So few meta-steps are soon
# done, and none of the letters need be held out to stop by.

episodes = NWayKShot(X_new, y_new, **shape).sample(100, random_state=0)
shown = episodes.is_support[: episodes.sizes[0]]  # alike in each
nearest = {
    "nearest letter, pixels": KNeighborsClassifier(1),
    "nearest letter, gradients": make_pipeline(as_gradients, KNeighborsClassifier(1)),
}
accuracies = {
    name: [
        model.fit(images[shown], letters[shown]).score(images[~shown], letters[~shown])
        for images, letters in episodes
    ]
    for name, model in nearest.items()
}
for name, (estimator, tasks) in learned.items():
    meta = MetaLearner(
        estimator,
        "prototypes",
        n_shots=1,
        n_query=None,
        meta_batch_size=4,
        max_iter=600,
        early_stopping=False,
        random_state=0,
    ).fit(tasks)
    accuracies[name] = [meta.score(episodes[[i]]) for i in range(len(episodes))]

print("\nAccuracy on 20 new letters, one of each shown, with 95% intervals over tasks")
half = {name: 1.96 * np.std(values) / len(values) ** 0.5 for name, values in accuracies.items()}
for name, values in accuracies.items():
    print(f"  {name:32s} {np.mean(values):.3f} +- {half[name]:.3f}")

# %%
# One task, and what the last of these makes of it.

images, letters = episodes[0]
meta.fit_adapt(images[shown], letters[shown])
right = meta.predict(images[~shown]) == letters[~shown]
order = np.argsort(letters[~shown], kind="stable").reshape(20, 5).T  # (query rows, letters)

figure = plt.figure(figsize=(9, 5.8), layout="constrained")
task, bars = figure.subfigures(2, 1, height_ratios=(3, 1.4))
grid = task.subplots(6, 20, subplot_kw={"xticks": [], "yticks": []})
for axis, image in zip(grid[0], images[shown][np.argsort(letters[shown])], strict=True):
    axis.imshow(image.reshape(SHAPE), cmap="gray_r")
for axes, numbers in zip(grid[1:], order, strict=True):
    for axis, number in zip(axes, numbers, strict=True):
        axis.imshow(images[~shown][number].reshape(SHAPE), cmap="gray_r")
        axis.spines[:].set(color="C0" if right[number] else "C1", linewidth=2.5)
task.suptitle(
    "Shown: the first row. Asked: all others, each below its own. "
    f"Blue: recognised ({right.sum()} of {right.size})"
)
axis = bars.subplots()
names = list(accuracies)[::-1]
means = [np.mean(accuracies[name]) for name in names]
axis.barh(names, means, xerr=[half[name] for name in names], color="0.6")
axis.set(xlim=(0, 1), xlabel="accuracy on 20 new letters, one of each shown")
plt.show()

# %%
# Features and learning do about as much each: the nearest letter by its gradients, which has
# learned nothing, is as good as a network that has learned from pixels. Together they do far more
# than either, and letters redrawn for every task add a little. So choose features as for any
# other classifier.
