"""The permutation test against brute force, against scipy, and against its promise: the error is what was spent."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from modelfleet.measurement.permutation import Statistic, assignments, possible, sequential, studentised

ONE = np.zeros(100, np.int64)


def labels(canaries: int, nodes: int) -> np.ndarray:
    return np.arange(nodes) < canaries


@pytest.mark.parametrize(("canaries", "nodes"), [(1, 20), (2, 9), (4, 12), (11, 12)])
def test_all_assignments_and_the_real_one_first(canaries, nodes):
    of = assignments(labels(canaries, nodes), ONE[:nodes], seed=1)
    assert of.complete
    assert of.possible == comb(nodes, canaries)
    assert of.chosen[0].tolist() == list(range(canaries))
    assert {tuple(row) for row in of.chosen} == set(combinations(range(nodes), canaries))


def test_assignments_keep_to_their_strata():
    canary = np.array([1, 0, 0, 1, 1, 0, 0], bool)
    strata = np.array([0, 0, 0, 1, 1, 1, 2])
    of = assignments(canary, strata, seed=1)
    assert of.possible == possible(canary, strata) == 3 * 3 * 1
    assert len({tuple(sorted(row)) for row in of.chosen}) == 9
    assert of.chosen[0].tolist() == [0, 3, 4]
    for row in of.chosen:
        assert [int(strata[node]) for node in sorted(row)] == [0, 1, 1]


def test_a_sample_is_seeded_valid_and_stratified():
    canary, strata = labels(30, 100), np.repeat([0, 1], 50)
    of = assignments(canary, strata, seed=7)
    assert not of.complete
    assert of.chosen.shape == (20_000, 30)
    assert of.chosen[0].tolist() == list(range(30))
    np.testing.assert_array_equal(of.chosen, assignments(canary, strata, seed=7).chosen)
    assert (of.chosen[1:] != assignments(canary, strata, seed=8).chosen[1:]).any()
    assert (np.diff(np.sort(of.chosen, axis=1), axis=1) > 0).all()
    assert (of.chosen < 50).all()  # the second stratum has no canaries
    shares = np.bincount(of.chosen[1:].ravel(), minlength=50) / (len(of.chosen) - 1)
    np.testing.assert_allclose(shares[:50], 0.6, atol=0.02)


def test_large_fleets_are_sampled_less():
    of = assignments(labels(100, 10_000), np.zeros(10_000, np.int64), seed=1)
    assert len(of.chosen) == 2_000


def welch(chosen: np.ndarray, others: np.ndarray) -> float:
    return float(stats.ttest_ind(chosen, others, equal_var=False).statistic)


def test_the_statistic_is_welchs_for_each_column_and_assignment():
    values = np.random.default_rng(1).normal(5, [[0.1, 3, 1e-6]], (9, 3))
    of = assignments(labels(3, 9), ONE[:9], seed=1)
    t = studentised(values, of).t
    for row, chosen in enumerate(of.chosen):
        others = np.setdiff1d(np.arange(9), chosen)
        assert t[row] == pytest.approx([welch(column[chosen], column[others]) for column in values.T], abs=1e-6)


def test_a_single_node_borrows_the_others_variance():
    values = np.random.default_rng(2).normal(0, 1, (6, 1))
    statistic = studentised(values, assignments(labels(1, 6), ONE[:6], seed=1))
    others = values[1:, 0]
    error = others.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert statistic.t[0, 0] == pytest.approx((values[0, 0] - others.mean()) / error)
    assert statistic.error[0, 0] == pytest.approx(error)


def test_figures_that_do_not_vary():
    of = assignments(labels(2, 6), ONE[:6], seed=1)
    assert (studentised(np.full((6, 1), 0.1), of).t == 0).all()
    apart = studentised(np.array([[1.0], [1], [0], [0], [0], [0]]), of)
    assert apart.t[0, 0] == 1e12
    assert np.isfinite(apart.t).all()


def test_two_nodes_are_not_enough():
    with pytest.raises(ValueError, match="three nodes"):
        studentised(np.zeros((2, 1)), assignments(labels(1, 2), ONE[:2], seed=1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alternative", ["less", "greater"])
def test_one_look_is_scipys_exact_permutation_test(seed, alternative):
    values = np.random.default_rng(seed).normal(0, 1, (11, 1))
    t = studentised(values, assignments(labels(4, 11), ONE[:11], seed=1)).t.T
    ours = sequential(t if alternative == "greater" else -t, [0.05]).p
    theirs = stats.permutation_test(
        (values[:4, 0], values[4:, 0]),
        lambda x, y, axis: stats.ttest_ind(x, y, equal_var=False, axis=axis).statistic,
        permutation_type="independent",
        alternative=alternative,
        n_resamples=np.inf,
        vectorized=True,
    )
    assert ours == pytest.approx(theirs.pvalue)


def by_hand(statistics: np.ndarray, spending: list[float]) -> int | None:
    """The same procedure in plain Python: at each look, strike out the largest that the spending has room for."""
    left = set(range(statistics.shape[1]))
    struck = 0
    for look, share in enumerate(spending):
        room = int(share * statistics.shape[1] + 1e-9) - struck
        order = sorted(left, key=lambda a: -statistics[look, a])
        for size in range(room, 0, -1):
            # No tie may be cut through.
            if size == len(order) or statistics[look, order[size - 1]] > statistics[look, order[size]]:
                out = order[:size]
                break
        else:
            out = []
        if 0 in out:
            return look + 1
        left -= set(out)
        struck += len(out)
    return None


@pytest.mark.parametrize("seed", range(60))
def test_sequential_is_the_procedure_by_hand(seed):
    random = np.random.default_rng(seed)
    statistics = random.normal(0, 1, (4, 50)).cumsum(axis=0)
    statistics[:, 0] += random.choice([0, 1, 2])
    if seed % 3 == 0:
        statistics = statistics.round(0)  # ties
    spending = [0.04, 0.1, 0.1, 0.3]
    assert sequential(statistics, spending).look == by_hand(statistics, spending)


def test_what_is_spent_is_what_is_rejected_when_any_assignment_could_be_the_real_one():
    """Each assignment in turn is taken for the real one: the share that is rejected is the error, exactly."""
    random = np.random.default_rng(3)
    statistics = random.normal(0, 1, (5, 400)).cumsum(axis=0)
    spending = [0.01 * k for k in range(1, 6)]
    looks = []
    for real in range(400):
        order = [real, *(a for a in range(400) if a != real)]
        looks.append(sequential(statistics[:, order], spending).look)
    for look, share in enumerate(spending, 1):
        assert sum(at is not None and at <= look for at in looks) / 400 == pytest.approx(share)


def test_nothing_is_rejected_before_there_is_error_to_spend():
    statistics = np.vstack([np.arange(20.0)[::-1]] * 2)
    assert sequential(statistics, [0.04, 0.05]).look == 2
    assert sequential(statistics[:1], [0.04, 0.05]).look is None


def test_all_may_be_rejected_when_all_is_spent():
    assert sequential(np.zeros((1, 4)), [1.0]).look == 1
    assert sequential(np.zeros((1, 4)), [0.5]).look is None


def test_a_statistic_without_error_is_not_a_division_by_zero():
    t = Statistic(np.array([[0.0, 1.0, -1.0]]), np.zeros((1, 3))).t
    assert t.tolist() == [[0.0, 1e12, -1e12]]
