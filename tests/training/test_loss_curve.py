import copy
import pickle

from sklearn_meta.training import LossCurve


def test_appending_leaves_the_curve_as_it_was():
    first = LossCurve([3.0, 2.0])
    second = first.append(1.0)
    third, other = second.append(0.5), second.append(7.0)
    assert first.to_list() == [3, 2]
    assert second.to_list() == [3, 2, 1]
    assert third.to_list() == [3, 2, 1, 0.5]
    assert other.to_list() == [3, 2, 1, 7]
    assert [len(curve) for curve in (first, second, third, other)] == [2, 3, 4, 4]


def test_nothing_is_copied_as_it_grows():
    curve = LossCurve()
    for loss in range(1000):
        before, curve = curve, curve.append(loss)
        assert curve._losses is before._losses


def test_copies_and_pickles_go_on_alone():
    curve = LossCurve([1.0]).append(2.0)
    for other in (copy.copy(curve), copy.deepcopy(curve), pickle.loads(pickle.dumps(curve))):
        assert other.append(3.0).to_list() == [1, 2, 3]
    curve.append(4.0)
    assert pickle.loads(pickle.dumps(curve)).to_list() == [1, 2]


def test_the_list_given_is_not_the_curves():
    losses = [1.0]
    curve = LossCurve(losses)
    losses.append(2.0)
    curve.to_list().append(3.0)
    assert curve.to_list() == [1]
