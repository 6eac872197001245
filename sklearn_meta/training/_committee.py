"""Trainers side by side, each with other tasks held out, as one."""

from dataclasses import dataclass

import numpy as np

from ._trainer import Report


@dataclass
class Committee:
    """Trainers that are advanced together, until all are done.

    Parameters
    ----------
    trainers : list of Trainer
        One, or several that learn alike; those of linear networks come last.
    n_linear : int, default=0
        How many these are. They are quickly done, and of a loss of their own, which the curves
        leave out.
    """

    trainers: list
    n_linear: int = 0

    @property
    def progress(self):
        """How far each has come: all of it that changes."""
        return [trainer.progress for trainer in self.trainers]

    @progress.setter
    def progress(self, progress):
        for trainer, each in zip(self.trainers, progress, strict=True):
            trainer.progress = each

    @property
    def leading(self):
        """The trainers of the networks that were asked for."""
        return self.trainers[: len(self.trainers) - self.n_linear]

    @property
    def is_done(self):
        return all(trainer.is_done for trainer in self.trainers)

    @property
    def has_stopped(self):
        """Validation tasks have not improved for long."""
        return all(trainer.has_stopped for trainer in self.leading)

    @property
    def has_diverged(self):
        """No meta-step of one of them is finite, however slow."""
        return any(trainer.has_diverged for trainer in self.trainers)

    @property
    def has_learned(self):
        """Whether there is something to keep of each."""
        return all(trainer.has_learned for trainer in self.trainers)

    @property
    def longest(self):
        """The one that has taken the most meta-steps."""
        return max(self.leading, key=lambda trainer: trainer.state.n_iter)

    @property
    def troubled(self):
        """The one that went back most often, or else skipped most meta-steps."""
        return max(self.trainers, key=lambda each: (each.state.n_retreats, each.n_skipped))

    @property
    def best_iter(self):
        """The last meta-step whose parameters were kept."""
        return max(trainer.best_iter for trainer in self.leading)

    @property
    def best_score(self):
        """The validation score of what is kept, of all tasks held out; None where none decide."""
        stops = [trainer.early_stopping for trainer in self.leading]
        return None if stops[0] is None else float(np.mean([stop.best_score for stop in stops]))

    @property
    def scores(self):
        """Their mean validation score at each evaluation that all have come to.

        Who is done stays at what is kept.
        """
        stops = [trainer.early_stopping for trainer in self.leading]
        if stops[0] is None:
            return None
        lengths = [len(stop.scores) for stop in stops]
        pairs = zip(lengths, self.leading, strict=True)
        n = min((length for length, each in pairs if not each.is_done), default=max(lengths))
        filled = [(stop.scores + [stop.best_score] * n)[:n] for stop in stops]
        return np.mean(filled, axis=0).tolist()

    @property
    def loss_curve(self):
        """Their mean loss in each meta-step, of those that took it."""
        curves = [trainer.loss_curve for trainer in self.leading]
        if len(curves) == 1:
            return curves[0]
        total, count = np.zeros((2, max(map(len, curves))))
        for curve in curves:
            total[: len(curve)] += curve
            count[: len(curve)] += 1
        return (total / count).tolist()

    def advance(self):
        """Each up to its next evaluation."""
        reports = {
            number: trainer.advance()
            for number, trainer in enumerate(self.trainers)
            if not trainer.is_done
        }
        told = [each for number, each in reports.items() if number < len(self.leading)]
        told = told or list(reports.values())
        scores = self.scores
        return Report(
            max(each.n_iter for each in told),
            float(np.mean([each.loss for each in told])),
            None if scores is None else scores[-1],
            sum(each.n_skipped for each in told),
        )
