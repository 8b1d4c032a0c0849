"""Bad proposals never give a silent number, and extreme weights give defined ones."""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit

import fastscore as fs

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="needs Numba's compiler")

P = fs.Normal([0.0, 1.0], 1.0)
Q1, Q2 = fs.Normal([0.5, 1.0], 1.5), fs.Normal([-0.5, 0.0], 1.3)
HEURISTICS = ("balance", "power", "cutoff", "maximum", "mixture", "optimal")
bad_floats = st.sampled_from([np.nan, np.inf, -np.inf])


def f(x):
    return x[:, 0] ** 2


def gradient(proposals=(Q1, Q2), **options):
    if isinstance(proposals, dict):
        proposals = fs.Proposals([Q1, Q2], **proposals)
    return fs.gradient(f, P, **{"n": 100, "rng": 0, "proposals": proposals, **options})


def refuses(name, value=None, error=(TypeError, ValueError)):
    """An error that names the argument and, where given, quotes the value."""
    quoted = "" if value is None else ".*" + re.escape(repr(value))
    return pytest.raises(error, match=f"(?s){name}{quoted}")


# --- proposals ---


class TestProposals:
    @pytest.mark.parametrize("families", [[], (), None, 3, "normal", [3], [Q1, None], [[Q1]]])
    def test_no_families(self, families):
        with refuses("families|proposals"):
            fs.Proposals(families)

    @pytest.mark.parametrize("proposals", [[], (), 3, "normal", [3], [Q1, None], {"q": Q1}])
    def test_no_proposals(self, proposals):
        with refuses("proposals|families"):
            fs.gradient(f, P, n=10, proposals=proposals)

    def test_one_family_is_a_list_of_one(self):
        assert gradient(Q1).value == gradient([Q1]).value == gradient(fs.Proposals(Q1)).value

    @pytest.mark.parametrize("q", [fs.Normal(0.0, 1.0), fs.Normal([0.0, 1.0, 2.0], 1.0)])
    def test_another_dimension(self, q):
        for proposals in ([q], [Q1, q]):
            with refuses("proposals|families", error=ValueError):
                gradient(proposals)

    def test_another_dtype(self):
        with refuses("proposals|families"):
            gradient([fs.Bernoulli([0.5, 0.5])])
        with refuses("proposals|families"):
            fs.gradient(f, fs.Bernoulli([0.5, 0.5]), n=10, proposals=[Q1])

    def test_options_go_by_keyword(self):
        with pytest.raises(TypeError):
            fs.Proposals([Q1, Q2], [1, 2])
        with pytest.raises(TypeError):
            fs.Proposals([Q1], unknown=1)

    def test_frozen(self):
        proposals = fs.Proposals([Q1, Q2])
        with pytest.raises((AttributeError, TypeError)):
            proposals.heuristic = "power"

    def test_what_it_was_given_may_change(self):
        families, allocation = [Q1, Q2], np.array([3.0, 1.0])
        proposals = fs.Proposals(families, allocation=allocation)
        before = gradient(proposals).value
        families.pop()
        allocation[:] = 1.0
        assert gradient(proposals).value == before

    @pytest.mark.parametrize("heuristic", ["Balance", "", None, 3, "max", b"power", ["balance"]])
    def test_unknown_heuristic(self, heuristic):
        with refuses("heuristic", heuristic):
            fs.Proposals([Q1, Q2], heuristic=heuristic)

    def test_repr_is_short(self):
        wide = fs.Normal(np.zeros(1000), 1.0)
        assert len(repr(fs.Proposals([wide] * 3, heuristic="power"))) < 500
        assert "power" in repr(fs.Proposals([wide] * 3, heuristic="power"))


class TestAllocation:
    @given(st.one_of(st.floats(max_value=0.0, allow_nan=False), bad_floats))
    @settings(max_examples=30, deadline=None)
    def test_not_positive(self, share):
        for allocation in ([1, share], [share, share], np.array([share, 2.0])):
            with refuses("allocation", error=ValueError):
                fs.Proposals([Q1, Q2], allocation=allocation)

    @pytest.mark.parametrize("allocation", [[1], [1, 2, 3], [], [[1, 2]], 3, 0.5])
    def test_another_length(self, allocation):
        with refuses("allocation"):
            fs.Proposals([Q1, Q2], allocation=allocation)

    @pytest.mark.parametrize("allocation", ["ab", ["a", "b"], [None, 1], {"a": 1, "b": 2}, [1j, 1]])
    def test_no_numbers(self, allocation):
        with refuses("allocation"):
            fs.Proposals([Q1, Q2], allocation=allocation)

    @pytest.mark.parametrize("allocation", [[1, 1e-12], [1.0, 1e-300], [10**12, 1], [1e300, 1]])
    @pytest.mark.parametrize("heuristic", ["balance", "mixture"])
    def test_shares_that_no_unit_meets(self, allocation, heuristic):
        """They are rounded: never a run of 10¹² samples, nor one without a proposal."""
        est = gradient({"allocation": allocation, "heuristic": heuristic}, n=1000)
        assert 1000 <= est.n <= 1100
        assert abs(est.value - 1) < 6 * est.value_stderr

    def test_irrational_shares(self):
        est = gradient({"allocation": [math.pi, math.e]}, n=200_000)
        assert est.n < 400_000
        assert abs(est.value - 1) < 5 * est.value_stderr

    def test_counts_without_n(self):
        for allocation in ([300, 100], [7, 8], np.array([20, 30], np.uint8), (4, 4)):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*standard error", RuntimeWarning)
                assert gradient({"allocation": allocation}, n=None).n == np.sum(allocation)

    def test_shares_without_n(self):
        assert gradient({"allocation": [0.3, 0.7]}, n=None).n == 100_000
        assert gradient({}, n=None).n == 100_000

    @given(st.lists(st.integers(1, 9), min_size=2, max_size=2), st.integers(1, 300))
    @settings(max_examples=40, deadline=None)
    def test_rounded_up_to_whole_units(self, allocation, n):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*standard error", RuntimeWarning)
            est = gradient({"allocation": allocation}, n=n)
        size = sum(allocation) // math.gcd(*allocation)
        assert est.n == -(-n // size) * size
        assert est.dof == est.n // size - 1

    def test_one_unit_warns(self):
        with pytest.warns(RuntimeWarning, match="standard error"):
            est = gradient(n=2)
        assert math.isnan(est.value_stderr)
        assert np.isnan(est.grad_stderr["loc"]).all()
        assert np.isfinite(est.flat).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert est.summary()


# --- options ---


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"beta": 2.0}, {"alpha": 0.1}, {"weights": [0.5, 0.5]}, {"covering": True},
            {"heuristic": "power", "alpha": 0.1}, {"heuristic": "cutoff", "beta": 2.0},
            {"heuristic": "maximum", "beta": 2.0}, {"heuristic": "mixture", "alpha": 0.5},
            {"heuristic": "optimal", "beta": 1.0}, {"heuristic": "power", "weights": [0.5, 0.5]},
            {"heuristic": "constant", "covering": True, "beta": 2.0},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_would_be_ignored_is_refused(self, options):
        with refuses("|".join(key for key in options if key != "heuristic"), error=ValueError):
            gradient(options)

    @pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf, "2", [2.0], True])
    def test_beta(self, beta):
        with refuses("beta"):
            fs.Proposals([Q1, Q2], heuristic="power", beta=beta)

    @pytest.mark.parametrize("alpha", [-0.1, 1.5, np.nan, np.inf, "2", [0.1]])
    def test_alpha(self, alpha):
        with refuses("alpha"):
            fs.Proposals([Q1, Q2], heuristic="cutoff", alpha=alpha)

    @pytest.mark.parametrize("defensive", [-0.1, 1.0, 1.5, np.nan, np.inf, "p", [0.1], None])
    def test_defensive(self, defensive):
        with refuses("defensive"):
            fs.Proposals([Q1, Q2], defensive=defensive)

    @pytest.mark.parametrize("clip", [0, -1.0, np.nan, "1", [1.0]])
    def test_clip(self, clip):
        with refuses("clip"):
            fs.Proposals([Q1, Q2], clip=clip)

    @pytest.mark.parametrize("flag", ["yes", None, 2, [True]])
    @pytest.mark.parametrize("name", ["self_normalized", "covering"])
    def test_flags(self, name, flag):
        more = {"heuristic": "constant"} if name == "covering" else {}
        with refuses(name):
            fs.Proposals([Q1, Q2], **{name: flag}, **more)

    def test_constant_weights_without_declared_coverage(self):
        with refuses("covering", error=ValueError):
            gradient({"heuristic": "constant"})
        with refuses("covering", error=ValueError):
            gradient({"heuristic": "constant", "covering": False})

    @pytest.mark.parametrize(
        "weights", [[0.5], [0.5, 0.6], [0.5, np.nan], [-0.5, 1.5], [1, 2, 3], "ab", [[0.5, 0.5]]]
    )
    def test_constant_weights(self, weights):
        with refuses("weights"):
            gradient({"heuristic": "constant", "covering": True, "weights": weights})

    @pytest.mark.parametrize("controls", ["q", 3, [3], ("proposals", "x"), True, b"target"])
    def test_unknown_controls(self, controls):
        with refuses("control_variates"):
            fs.Proposals([Q1, Q2], control_variates=controls)

    @pytest.mark.parametrize("heuristic", ["power", "cutoff", "maximum"])
    def test_controls_need_balance_weights(self, heuristic):
        with refuses("control_variates", error=ValueError):
            gradient({"heuristic": heuristic, "control_variates": "proposals"})

    @pytest.mark.parametrize(
        "options", [{"clip": 3.0}, {"self_normalized": True}], ids=str
    )  # fmt: skip
    def test_controls_of_other_weights_are_refused_or_labelled(self, options):
        for controls in ({"control_variates": "proposals"}, {"heuristic": "optimal"}):
            try:
                est = gradient({**options, **controls})
            except ValueError as error:
                assert re.search("control_variates|heuristic|clip|self_norm", str(error))  # noqa: PT017
            else:
                assert est.bias != "none"


class TestGradient:
    def test_samplings_of_another_kind(self):
        p, q = fs.Bernoulli([0.5]), fs.Bernoulli([0.7])
        with refuses("sampling", error=ValueError):
            fs.gradient(f, p, proposals=[q], sampling="counts", n=100)
        with refuses("estimator|proposals", error=ValueError):
            fs.gradient(f, p, proposals=[q], estimator="exact")

    def test_omission(self):
        integrand = fs.Integrand(f, nonfinite="omit")
        with refuses("nonfinite", error=ValueError):
            fs.gradient(integrand, P, proposals=[Q1], n=100)

    @pytest.mark.parametrize("n", [0, -5, 1.5, "3", True])
    def test_n(self, n):
        with refuses("n="):
            gradient(n=n)
        with refuses("n="):
            fs.Proposals([Q1, Q2]).sample(P, n)

    def test_sample_of_no_distribution(self):
        with refuses("p=|p "):
            fs.Proposals([Q1]).sample(3, 10)
        with refuses("proposals|families", error=ValueError):
            fs.Proposals([Q1]).sample(fs.Normal(0.0, 1.0), 10)

    def test_without_proposals_nothing_changes(self):
        assert gradient(None).value == fs.gradient(f, P, n=100, rng=0).value

    def test_p_without_a_score(self):
        with pytest.raises(ValueError, match="probs"):
            fs.gradient(f, fs.Bernoulli([1.0]), proposals=[fs.Bernoulli([0.5])], n=10)

    def test_a_proposal_without_a_score(self):
        """Which only p needs."""
        p = fs.Categorical([0.3, 0.7])
        for q in (fs.Categorical([0.5, 0.5, 0.0]), fs.Bernoulli([0.5])):
            est = fs.gradient(f, p, proposals=[q], n=10_000, rng=1)
            assert abs(est.value - 0.7) < 5 * est.value_stderr
        est = fs.gradient(f, p, proposals=[fs.Bernoulli([1.0]), fs.Bernoulli([0.0])], n=100, rng=1)
        assert est.value == pytest.approx(0.7, rel=1e-12)
        assert est.value_stderr < 1e-8


# --- an f that fails ---


@njit
def nan_beyond(x, limit):
    return math.nan if x[0] > limit else x[0]


@njit
def raises_beyond(x, limit):
    if x[0] > limit:
        raise ArithmeticError("beyond")
    return x[0]


class TestFailingF:
    @pytest.mark.parametrize("kind", ["sample", "numpy"])
    @pytest.mark.parametrize("heuristic", ["balance", "power", "mixture"])
    def test_nan(self, kind, heuristic):
        """The error quotes the first such sample, by its place in `Proposals.sample`."""
        proposals = fs.Proposals([Q1, Q2], allocation=[2, 1], heuristic=heuristic)
        x, _ = proposals.sample(P, 3000, rng=5)
        limit = np.sort(x[:, 0])[-4]
        first = int(np.argmax(x[:, 0] > limit))
        g = {
            "sample": nan_beyond,
            "numpy": lambda x, limit: np.where(x[:, 0] > limit, np.nan, x[:, 0]),
        }[kind]
        shown = re.escape(np.array2string(x[first], threshold=8))
        with pytest.raises(ValueError, match=rf"sample {first}, x = {shown}"):
            fs.gradient(g, P, args=(limit,), proposals=proposals, n=3000, rng=5)

    def test_propagated(self):
        g = fs.Integrand(nan_beyond, nonfinite="propagate")
        est = fs.gradient(g, P, args=(1.0,), proposals=[Q1, Q2], n=3000, rng=5)
        assert math.isnan(est.value)
        assert np.isnan(est.flat).all()
        assert est.nonfinite > 0

    @pytest.mark.parametrize("kind", ["sample", "numpy"])
    def test_raised(self, kind):
        proposals = fs.Proposals([Q1, Q2], allocation=[2, 1])
        x, _ = proposals.sample(P, 3000, rng=5)
        limit = np.sort(x[:, 0])[-4]
        first = int(np.argmax(x[:, 0] > limit))

        def by_numpy(x, limit):
            if np.any(x[:, 0] > limit):
                raise ArithmeticError("beyond")
            return x[:, 0]

        g = raises_beyond if kind == "sample" else by_numpy
        with pytest.raises(ArithmeticError, match="beyond") as caught:
            fs.gradient(g, P, args=(limit,), proposals=proposals, n=3000, rng=5)
        if kind == "sample":
            assert any(f"sample {first}," in note for note in caught.value.__notes__)

    def test_wrong_shape(self):
        with pytest.raises((TypeError, ValueError), match="shape"):
            fs.gradient(lambda x: x, P, proposals=[Q1], n=100)

    def test_nan_where_p_is_zero_is_never_seen(self):
        p, q = fs.Categorical([0.3, 0.7]), fs.Categorical([0.2, 0.3, 0.5])

        def g(x):
            return np.array([1.0, 2.0, np.nan])[x[:, 0]]

        for heuristic in HEURISTICS:
            proposals = fs.Proposals([q, q], heuristic=heuristic)
            est = fs.gradient(g, p, proposals=proposals, n=20_000, rng=3)
            assert abs(est.value - 1.7) < 5 * est.value_stderr + 1e-12
            assert est.nonfinite == 0


# --- extremes ---


def far(d, shift, scale=1.0):
    return fs.Normal(np.full(d, shift), scale)


def first(x):
    return x[:, 0] + 2.0


#: A target, and a proposal that all but misses it, if not its support.
RARE = fs.Categorical([1.0, 1e-12, 1e-12])
ELSEWHERE = fs.Categorical([1e-300, 1e-12, 1e-12, 1.0])


def assert_defined(est):
    """Every number finite, and diagnostics in their ranges."""
    assert math.isfinite(est.value)
    assert math.isfinite(est.value_stderr)
    assert np.isfinite(est.flat).all()
    assert 0 <= est.ess <= est.n * (1 + 1e-12)
    assert not math.isnan(est.pareto_k)
    assert est.summary()
    assert str(est)


class TestExtremes:
    @pytest.mark.parametrize("heuristic", HEURISTICS)
    @pytest.mark.parametrize("baseline", [None, "mean", "optimal", "scalar"])
    def test_log_weights_of_ten_thousands(self, heuristic, baseline):
        """d = 1000: one proposal far away, another p itself."""
        p = far(1000, 0.0)
        proposals = fs.Proposals([far(1000, 6.0), p], heuristic=heuristic)
        est = fs.gradient(first, p, proposals=proposals, n=400, rng=0, baseline=baseline)
        assert_defined(est)
        assert abs(est.value - 2) < 6 * est.value_stderr

    @pytest.mark.parametrize("heuristic", ["balance", "power", "cutoff", "maximum", "mixture"])
    @pytest.mark.parametrize("self_normalized", [False, True])
    @pytest.mark.parametrize(
        ("shift", "scale"), [(6.0, 1.0), (0.0, 10.0), (0.0, 0.1), (1e4, 1.0), (0.3, 1.0)]
    )
    def test_proposals_all_far_away(self, heuristic, self_normalized, shift, scale):
        """Weights underflow, or one of them is all there is; nothing overflows."""
        p = far(1000, 0.0)
        proposals = fs.Proposals(
            [far(1000, shift, scale), far(1000, -shift, 1.1 * scale)], heuristic=heuristic,
            self_normalized=self_normalized,
        )  # fmt: skip
        for n in (4, 400):
            try:
                est = fs.gradient(first, p, proposals=proposals, n=n, rng=0)
            except ValueError as error:
                assert "weight" in str(error)  # noqa: PT017
            else:
                assert_defined(est)
                if n == 400:
                    assert est.pareto_k > 0.7 or est.ess < 50

    @pytest.mark.parametrize("scale", [1e-3, 1e-100])
    def test_weights_beyond_float64(self, scale):
        """A proposal far narrower than p: the few weights are huge, if not infinite."""
        p = far(200, 0.0)
        try:
            est = fs.gradient(first, p, proposals=[far(200, 0.0, scale)], n=100, rng=0)
        except ValueError as error:
            assert "weight" in str(error)  # noqa: PT017
        else:
            assert_defined(est)

    def test_self_normalised_weights_beyond_float64(self):
        """Only their ratios count."""
        p = fs.Normal(np.zeros(200), 1.0)
        proposals = fs.Proposals([far(200, 0.0, 1e-3)], self_normalized=True)
        est = fs.gradient(first, p, proposals=proposals, n=100, rng=0)
        assert_defined(est)
        assert 1.9 < est.value < 2.1
        assert 1 <= est.ess <= 100

    @pytest.mark.parametrize("n", [1, 2, 50])
    @pytest.mark.parametrize("baseline", [None, 1.5, "mean", "scalar", "optimal", "matrix"])
    def test_all_weights_zero(self, n, baseline):
        """No sample lies where p is positive: the estimate is 0, and not to be trusted."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*standard error", RuntimeWarning)
            est = fs.gradient(first, RARE, proposals=[ELSEWHERE], n=n, rng=0, baseline=baseline)
        assert est.value == 0
        assert not est.flat.any()
        assert est.ess == 0
        assert not math.isnan(est.pareto_k)
        assert re.search("not|zero|none|0 of", est.summary().split("┘")[-1], re.IGNORECASE)

    def test_all_weights_zero_self_normalised(self):
        """0/0: no number is right."""
        proposals = fs.Proposals([ELSEWHERE], self_normalized=True)
        with pytest.raises(ValueError, match="weight"):
            fs.gradient(first, RARE, proposals=proposals, n=50, rng=0)

    def test_all_weights_zero_with_controls(self):
        for options in ({"heuristic": "optimal"}, {"control_variates": "target"}):
            proposals = fs.Proposals([ELSEWHERE, ELSEWHERE], **options)
            est = fs.gradient(first, RARE, proposals=proposals, n=50, rng=0)
            assert np.isfinite([est.value, *est.flat]).all()
            assert est.ess == 0

    def test_one_weight_dominates(self):
        p, q = fs.Bernoulli([0.5]), fs.Bernoulli([1e-3])
        seed = next(s for s in range(999) if fs.Proposals([q]).sample(p, 100, rng=s)[0].sum() == 1)
        est = fs.gradient(first, p, proposals=[q], n=100, rng=seed)
        assert_defined(est)
        assert est.ess == pytest.approx(
            (500 + 99 * 0.5 / 0.999) ** 2 / (500**2 + 99 * (0.5 / 0.999) ** 2), rel=1e-10
        )

    @pytest.mark.parametrize("heuristic", HEURISTICS)
    def test_densities_of_zero(self, heuristic):
        """Each proposal impossible where the other one samples."""
        p = fs.Categorical([0.25, 0.75])
        proposals = fs.Proposals(
            [fs.Categorical([1.0, 0.0]), fs.Categorical([0.0, 1.0])], heuristic=heuristic
        )
        est = fs.gradient(first, p, proposals=proposals, n=1000, rng=0)
        if heuristic == "mixture":
            assert abs(est.value - 2.75) < 5 * est.value_stderr
        else:
            assert est.value == pytest.approx(2.75, rel=1e-12)
            assert est.value_stderr < 1e-8

    def test_many_proposals(self):
        p = fs.Normal([0.0], [1.0])
        families = [fs.Normal([k / 25], [1.0 + k / 100]) for k in range(-25, 25)]
        for heuristic in HEURISTICS:
            proposals = fs.Proposals(families, heuristic=heuristic)
            est = fs.gradient(first, p, proposals=proposals, n=6000, rng=1)
            assert_defined(est)
            assert abs(est.value - 2) < 6 * est.value_stderr

    @given(
        st.floats(-30, 30), st.floats(-4, 4), st.sampled_from(HEURISTICS),
        st.sampled_from([None, 1.5, "mean", "scalar", "optimal"]), st.integers(2, 40),
    )  # fmt: skip
    @settings(max_examples=60, deadline=None)
    def test_good_input_gives_finite_numbers(self, shift, log_scale, heuristic, baseline, units):
        p = fs.Normal([0.0, 1.0], 1.0)
        q = fs.Normal([shift, 1.0], math.exp(log_scale))
        proposals = fs.Proposals([q, Q1], heuristic=heuristic)
        est = fs.gradient(f, p, proposals=proposals, n=2 * units, rng=0, baseline=baseline)
        numbers = [est.value, est.value_stderr, *est.flat]
        numbers += [np.ravel(v) for v in est.grad_stderr.values()]
        assert np.isfinite(np.concatenate([np.ravel(v) for v in numbers])).all()
        assert 0 <= est.ess <= est.n * (1 + 1e-12)
