"""What importance sampling tells about itself: allocation, diagnostics, plot, interruption."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from cases import flat
from scipy.special import logsumexp

import fastscore as fs
from fastscore.importance.allocation import units_of_counts, units_of_shares

mpl.use("Agg")

P = fs.Normal([0.2, -0.3], [1.0, 1.4])
QS = [fs.Normal([0.0, 0.5], [1.2, 1.5]), fs.Normal([0.5, -1.0], [1.5, 1.6])]


def square(x):
    return (x**2).sum(axis=1)


def estimate(n=9000, **options):
    return fs.gradient(square, P, proposals=fs.Proposals(QS, **options), n=n, rng=3)


class TestAllocation:
    @pytest.mark.parametrize(
        ("shares", "n", "unit", "units"),
        [
            ([1, 1, 1], 100, [1, 1, 1], 34),
            ([3, 1], 4, [3, 1], 1),
            ([2, 3, 4], 9, [2, 3, 4], 1),
            ([600, 400], 1000, [3, 2], 200),
            ([0.5, 0.25, 0.25], 6, [2, 1, 1], 2),
            ([0.37, 0.63], 100_000, [37, 63], 1000),
        ],
    )
    def test_shares_met_exactly(self, shares, n, unit, units):
        counts, number = units_of_shares(np.array(shares), n)
        assert counts.tolist() == unit
        assert number == units

    @pytest.mark.parametrize("shares", [[0.7310585, 0.2689415], [np.pi, np.e, 1.0, 0.1]])
    def test_others_to_a_hundredth(self, shares):
        counts, units = units_of_shares(np.array(shares), 100_000)
        np.testing.assert_allclose(
            counts / counts.sum(), np.array(shares) / np.sum(shares), rtol=0.01
        )
        assert units * counts.sum() >= 100_000
        assert units >= 100

    def test_a_faint_share_still_gets_a_sample(self):
        counts, _ = units_of_shares(np.array([1e-6, 1.0]), 10_000)
        assert counts[0] >= 1

    @pytest.mark.parametrize(
        ("counts", "unit", "units"),
        [([2, 3, 4], [2, 3, 4], 1), ([2000, 3000], [2, 3], 1000), ([40, 60], [2, 3], 20)],
    )
    def test_counts(self, counts, unit, units):
        made, number = units_of_counts(np.array(counts))
        assert made.tolist() == unit
        assert number == units

    def test_counts_without_a_divisor_are_rounded(self):
        made, number = units_of_counts(np.array([70_001, 30_000]))
        assert number > 1000
        np.testing.assert_allclose(made / made.sum(), [0.7, 0.3], rtol=0.01)

    def test_of_a_run(self):
        est = fs.gradient(square, P, proposals=fs.Proposals(QS, allocation=[400, 200]), rng=0)
        assert est.n == 600
        assert est.importance.counts.tolist() == [400, 200]


class TestDiagnostics:
    def test_weights(self):
        est = estimate()
        x, _ = fs.Proposals(QS).sample(P, 9000, rng=3)
        log_w = P.log_prob(x) - logsumexp([q.log_prob(x) for q in QS], axis=0) + np.log(2)
        w = np.exp(log_w)
        tell = est.importance
        np.testing.assert_allclose(tell.ess, w.sum() ** 2 / (w @ w))
        np.testing.assert_allclose(tell.largest_share, w.max() / w.sum())
        np.testing.assert_allclose(tell.mean_weight, w.mean())
        s = P.score(x)
        by_hand = w.sum() * (w @ s**2) / (w**2 @ s**2)
        np.testing.assert_allclose(tell.ess_by_coordinate, by_hand)
        assert est.ess == tell.ess
        assert est.ess_by_coordinate["loc"].shape == (2,)
        np.testing.assert_allclose(flat(est.ess_by_coordinate), by_hand)

    @pytest.mark.parametrize("baseline", [None, 2.0, "optimal"])
    @pytest.mark.parametrize("allocation", [None, [3, 1]])
    def test_of_each_proposal(self, baseline, allocation):
        est = estimate(allocation=allocation).with_baseline(baseline)
        tell = est.importance
        np.testing.assert_allclose(tell.contribution.sum(axis=0), est.flat, atol=1e-12)
        # Samples within proposals against whole units: two estimates of one variance.
        total = tell.variance.sum(axis=0)
        np.testing.assert_allclose(total, flat(est.grad_stderr) ** 2, rtol=0.1)
        assert tell.weight_share.sum() == pytest.approx(1)

    def test_without_weights(self):
        est = fs.gradient(square, P, n=100, rng=0)
        assert est.importance is None
        assert est.ess == 100
        assert est.pareto_k == -np.inf
        assert flat(est.ess_by_coordinate).tolist() == [100] * 4

    def test_proposals_like_p(self):
        tell = fs.gradient(square, P, proposals=[P], n=1000, rng=0).importance
        assert tell.ess == pytest.approx(1000)
        assert tell.pareto_k == -np.inf
        assert tell.trusted
        assert "trusted" in repr(tell)

    @pytest.mark.parametrize("scale", [0.3, 0.5, 0.7])
    def test_too_narrow(self, scale):
        p = fs.Normal([0.0], [1.0])
        runs = [
            fs.gradient(square, p, proposals=fs.Normal([0.0], [scale]), n=20_000, rng=seed)
            for seed in range(20)
        ]
        assert sum(run.importance.trusted for run in runs) <= 3
        assert sum("NOT to be trusted" in run.summary() for run in runs) >= 17
        assert sum("NOT TO BE TRUSTED" in str(run) for run in runs) >= 17
        safe = fs.Proposals(fs.Normal([0.0], [scale]), defensive=0.2)
        mended = fs.gradient(square, p, proposals=safe, n=20_000, rng=0)
        assert mended.importance.trusted
        assert abs(mended.value - 1) < 4.5 * mended.value_stderr

    def test_no_false_alarms(self):
        trusted = [
            fs.gradient(square, P, proposals=QS, n=2000, rng=seed).importance.trusted
            for seed in range(40)
        ]
        assert sum(trusted) >= 38

    def test_rare_event(self):
        p, q = fs.Normal([0.0], [1.0]), fs.Normal([3.3], [0.8])
        beyond = fs.Integrand(lambda x: (x[:, 0] > 3) * 1.0)
        est = fs.gradient(beyond, p, proposals=fs.Proposals(q, defensive=0.1), n=10_000, rng=0)
        assert est.importance.trusted
        assert abs(est.value - 1.3498980316300946e-3) < 4.5 * est.value_stderr

    @pytest.mark.parametrize("heuristic", ["balance", "mixture"])
    def test_plot(self, heuristic):
        axes = estimate(heuristic=heuristic).importance.plot()
        assert len(axes) == 2
        assert "rank" in axes[0].get_xlabel()
        assert axes[1].get_legend_handles_labels()[1][-2:] == ["weight", "variance"]
        mpl.pyplot.close("all")


class TestInterrupt:
    def test_whole_units_remain(self):
        calls = []

        def stubborn(x):
            calls.append(len(x))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return square(x)

        proposals = fs.Proposals(QS, allocation=[3, 2])
        with pytest.raises(fs.Interrupted) as caught:
            fs.gradient(stubborn, P, proposals=proposals, n=1_000_000, rng=0)
        partly = caught.value.estimate
        assert partly.n == sum(calls[:2])
        assert partly.n % 5 == 0
        assert partly.stopped == "interrupted"
        assert partly.importance.counts.tolist() == [partly.n * 3 // 5, partly.n * 2 // 5]
        with pytest.raises(RuntimeError, match="interrupted"):
            _ = partly.importance.contribution
