"""A few-shot curve in words."""

from textwrap import fill

import numpy as np

LINE = 88  # columns of a printed verdict
FEW = 20  # tasks, of which intervals over tasks are rough


def table_of(curve, name):
    """Means with their intervals, a line a contestant."""
    mean, interval = curve.mean(name), curve.interval(name)
    width = max(map(len, curve.contestants))
    cells = [
        [_cell(m, *ends) for m, ends in zip(*row, strict=True)]
        for row in zip(mean, interval, strict=True)
    ]
    columns = [_rows(curve, k) for k in curve.n_shots]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    tasks = np.count_nonzero(curve.served.any(axis=0))
    lines = [
        f"{name} on {tasks} held-out tasks, by {curve.unit}s shown, with 95% intervals over tasks"
    ]
    for who, row in [("", columns), *zip(curve.contestants, cells, strict=True)]:
        padded = (f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True))
        lines.append(f"{who:{width}}  " + "  ".join(padded))
    return "\n".join(line.rstrip() for line in lines)


def in_words(curve, name):
    """What to do, then a sentence for each number of shots, then what to be wary of."""
    lines = [_headline(curve, name)]
    lines += [_sentence(curve, name, number) for number in range(len(curve.n_shots))]
    return "\n".join(lines + _caveats(curve, name))


def folded(text):
    """Lines as short as a page or a terminal is wide, what goes on is indented."""
    return "\n".join(fill(line, LINE, subsequent_indent=" " * 4) for line in text.split("\n"))


def _headline(curve, name):
    who, pays = curve.contestants[0], curve.pays_from(name)
    words, alone = _words(curve, name, curve.against_baseline), False
    if pays is not None:
        rivals = [
            *["no adaptation"] * (curve.against_prior(pays, name) is not None),
            *["each baseline"] * (pays in words),
        ]
        return (
            f"Verdict: {who} pays from {_rows(curve, pays)} on: it is better there than "
            f"{' and than '.join(rivals)}."
        )
    if not words:
        words, alone = _words(curve, name, curve.against_prior), True
    if not words:
        return f"Verdict: none, for there is nothing to compare {who} with."
    if alone:
        return _headline_alone(curve, words)
    better, worse = ([k for k in words if words[k] == w] for w in ("better", "worse"))
    if better and worse:
        return (
            f"Verdict: {who} is better than each baseline with {_list(curve, better)}, but "
            f"{_losers(curve, name, worse)}"
        )
    if worse:
        return f"Verdict: {who} is not worth it: {_losers(curve, name, worse)}"
    if better and max(better) > 0:
        return (
            f"Verdict: {who} is better than each baseline with {_list(curve, better)}, but does "
            f"not pay from any number of {curve.unit}s on."
        )
    shown = [k for k in words if k]
    if better and not shown:
        return (
            f"Verdict: {who} is better than each baseline with {_list(curve, better)}; no more "
            "were tried."
        )
    return (
        f"Verdict: {who} is no better than the best baseline with "
        f"{'any' if shown else 'no'} {curve.unit} shown: take the simplest."
    )


def _words(curve, name, compared):
    """By number of shots how the judged compares, where that is known."""
    found = {k: compared(k, name) for k in curve.n_shots}
    return {k: p.word for k, p in found.items() if p is not None and p.word != "unknown"}


def _headline_alone(curve, words):
    """Where there is no baseline, but no rows shown."""
    who = curve.contestants[0]
    better = [k for k in words if words[k] == "better"]
    if better:
        return (
            f"Verdict: {who} is better than no adaptation with {_list(curve, better)}, but does "
            f"not pay from any number of {curve.unit}s on."
        )
    return f"Verdict: what {who} is shown of a task does not help it."


def _losers(curve, name, shots):
    """Which baselines are better at these numbers of shots, as the end of a sentence."""
    best = {}
    for k in shots:
        best.setdefault(curve.best_baseline(k, name), []).append(k)
    return "; ".join(f"{who} is better with {_list(curve, ks)}" for who, ks in best.items()) + "."


def _sentence(curve, name, number):
    """What was found at one number of shots."""
    k = curve.n_shots[number]
    if not curve.served[number].any():
        return f"  {_rows(curve, k)}: no task has as many, and one more to judge by."
    parts = []
    if (rival := curve.against_baseline(k, name)) is not None:
        parts.append(_compared(rival, f"the best baseline, {curve.best_baseline(k, name)}"))
    if (prior := curve.against_prior(k, name)) is not None:
        parts.append(_compared(prior, f"no {curve.unit}s"))
        parts.append(_hurt(curve, name, k, rival is not None))
    found = "; ".join(filter(None, parts)) or "nothing to compare with"
    n_tasks = np.count_nonzero(curve.served[number])
    if n_tasks < len(curve.task_ids):
        found = f"of {n_tasks} {'task' if n_tasks == 1 else 'tasks'}, {found}"
    return f"  {_rows(curve, k)}: {found}."


def _compared(paired, other):
    """A difference in words: "better than ... by ..." """
    if np.isnan(paired.mean):
        return ""
    if paired.word == "unknown":
        return f"{paired.mean:+.3f} against {other}, of which a single task tells no more"
    interval = f"[{_number(paired.low)}, {_number(paired.high)}]"
    if paired.word == "worse":
        interval = f"[{_number(-paired.high)}, {_number(-paired.low)}]"
    if paired.word in ("better", "worse"):
        return f"{paired.word} than {other}, by {_number(abs(paired.mean))} {interval}"
    return f"no different from {other}, {paired.mean:+.3f} {interval}"


def _hurt(curve, name, k, has_baselines):
    prior, baseline = (curve.hurt_at(k, name, against) for against in ("prior", "baseline"))
    if np.isnan(prior.share):
        return ""
    text = f"hurts {prior.share:.0%} of tasks{_by(prior)}"
    if has_baselines and not np.isnan(baseline.share):
        text += f", {baseline.share:.0%} do worse than by that baseline{_by(baseline)}"
    return text


def _by(hurt):
    return f" (by {hurt.by:.2g} on average)" if hurt.by else ""


def _caveats(curve, name):
    lines = []
    for k, small in zip(curve.n_shots, curve.too_small, strict=True):
        if small and small < len(curve.task_ids):
            lines.append(
                f"  {small} of {len(curve.task_ids)} tasks are too small for {_rows(curve, k)}."
            )
    failed = [
        f"{who} ({_list(curve, missing)})"
        for number, who in enumerate(curve.contestants)
        if (missing := _failed(curve, name, number))
    ]
    if failed:
        lines.append(f"  Failed, or has no score, on some tasks: {', '.join(failed)}.")
    if len(curve.task_ids) < FEW:
        lines.append(f"  Only {len(curve.task_ids)} tasks: the intervals are rough.")
    return lines


def _failed(curve, name, contestant):
    """Numbers of shots at which a contestant has no score for a task that is large enough."""
    missing = curve.served & np.isnan(curve.scores[name][contestant])
    return [k for k, some in zip(curve.n_shots, missing.any(axis=1), strict=True) if some]


def _cell(mean, low, high):
    if np.isnan(mean):
        return "-"
    if abs(mean) < 10:
        return f"{mean:.3f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")
    if np.isnan(low):
        return f"{mean:.4g}"
    return f"{mean:.4g} [{low:.3g}, {high:.3g}]"


def _number(value):
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def _rows(curve, k):
    return f"{k} {curve.unit}" if k == 1 else f"{k} {curve.unit}s"


def _list(curve, shots):
    """ "1, 2 and 5 rows" """
    *first, last = map(str, shots)
    return f"{', '.join(first)} and {last} {curve.unit}s" if first else _rows(curve, int(last))
