"""Supports of families, and whether proposals together cover the target's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastscore as fs
from fastscore.families import _support
from fastscore.families._support import Support, Tie, missed_by, uncovered

INF = np.inf


def holds(support, point):
    """Whether a point is in a support, coordinate by coordinate, from the definition."""
    holes = {tuple(pair) for pair in support.excluded.tolist()}
    return all(
        low <= value <= high and not (integer and (k, value) in holes)
        for k, (low, high, integer, value) in enumerate(
            zip(support.low, support.high, support.integer, point, strict=True)
        )
    )


def assert_missed(point, p, proposals):
    assert holds(p, point)
    assert not any(holds(q, point) for q in proposals)


def joined(*supports):
    """One support of the coordinates of several."""
    starts = np.cumsum([0] + [one.d for one in supports])
    return Support(
        *(np.concatenate([getattr(one, name) for one in supports]) for name in ("low", "high")),
        integer=np.concatenate([one.integer for one in supports]),
        excluded=np.concatenate(
            [one.excluded + [start, 0] for one, start in zip(supports, starts, strict=False)]
        ),
    )


class TestFamilies:
    def test_normal(self):
        support = fs.Normal(np.zeros(3), log_scale=0.0).support_set
        assert support.low.tolist() == [-INF] * 3
        assert support.high.tolist() == [INF] * 3
        assert not support.integer.any()
        assert support.excluded.shape == (0, 2)

    @pytest.mark.parametrize(
        ("p", "excluded"),
        [
            (fs.Bernoulli([0.5, 0.0, 1.0, 5e-324]), [[1, 1], [2, 0]]),
            (fs.Bernoulli(0.0), [[0, 1]]),
            (fs.Bernoulli(logits=[0.0, 700.0]), []),
            # Of probability 0 in float64: it is never drawn.
            (fs.Bernoulli(logits=[0.0, 800.0]), [[1, 0]]),
        ],
    )
    def test_bernoulli(self, p, excluded):
        support = p.support_set
        assert support.low.tolist() == [0] * p.d
        assert support.high.tolist() == [1] * p.d
        assert support.integer.all()
        assert support.excluded.tolist() == excluded

    @pytest.mark.parametrize(
        ("p", "excluded"),
        [
            (fs.Categorical([1.0, 0.0, 2.0]), [[0, 1]]),
            (fs.Categorical([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]]), [[0, 1], [0, 2], [1, 2]]),
            (fs.Categorical(logits=[-INF, 0.0, -700.0]), [[0, 0]]),
        ],
    )
    def test_categorical(self, p, excluded):
        support = p.support_set
        assert support.low.tolist() == [0] * p.d
        assert support.high.tolist() == [2] * p.d
        assert support.excluded.tolist() == excluded

    @given(st.integers(0, 2**12 - 1))
    @settings(max_examples=50, deadline=None)
    def test_support_is_where_the_probability_is(self, bits):
        probs = 1.0 - (bits >> np.arange(12) & 1).reshape(3, 4)
        if not probs.any(axis=1).all():
            return
        p = fs.Categorical(probs)
        outcomes = p.support(most=64)
        inside = [holds(p.support_set, outcome) for outcome in outcomes]
        np.testing.assert_array_equal(inside, p.log_prob(outcomes) > -INF)


class TestByHand:
    def test_each_misses_a_class_of_another_variable(self):
        full, none = [1.0, 1.0], [0.0, 1.0]
        p, q1, q2 = (fs.Categorical(rows) for rows in ([full, full], [none, full], [full, none]))
        point = missed_by(p.support_set, [q1.support_set, q2.support_set])
        assert point.dtype == np.int64
        assert point.tolist() == [0, 0]

    def test_halves_cover_together(self):
        p, q1, q2 = (fs.Bernoulli(probs).support_set for probs in ([0.5, 0.5], [0, 0.5], [1, 0.5]))
        assert missed_by(p, [q1, q2]) is None
        assert missed_by(p, [q1])[0] == 1
        assert missed_by(p, [q2])[0] == 0

    def test_what_p_lacks_need_not_be_covered(self):
        p, q = fs.Categorical([1, 0, 1]), fs.Categorical([1, 0, 3])
        assert missed_by(p.support_set, [q.support_set]) is None
        assert missed_by(Support.integers(1, 0, 2, [[0, 0]]), [Support.integers(1, 1, 2)]) is None
        assert missed_by(Support.integers(1, 0, 2), [Support.integers(1, 0, 2, [[0, 7]])]) is None

    def test_no_proposals(self):
        p = Support.reals(2, low=[0.0, -INF], high=[1.0, -3.0])
        assert_missed(missed_by(p, []), p, [])

    def test_orthants(self):
        signs = list(product([(-INF, 0.0), (0.0, INF)], repeat=3))
        orthants = [Support.reals(3, *np.transpose(ends)) for ends in signs]
        assert missed_by(Support.reals(3), orthants) is None
        for left_out in range(8):
            proposals = orthants[:left_out] + orthants[left_out + 1 :]
            point = missed_by(Support.reals(3), proposals)
            assert_missed(point, Support.reals(3), proposals)
            assert holds(orthants[left_out], point)

    def test_ends_have_no_mass(self):
        positive, unit = Support.reals(1, low=0.0), Support.reals(1, 0.0, 1.0)
        assert missed_by(unit, [positive]) is None
        assert missed_by(positive, [unit, Support.reals(1, low=1.0)]) is None
        assert missed_by(positive, [unit])[0] > 1.0
        assert missed_by(Support.reals(1), [positive])[0] < 0.0

    def test_a_gap_between_reals(self):
        low, high = Support.reals(1, high=1e300), Support.reals(1, low=1.1e300)
        assert 1e300 < missed_by(Support.reals(1), [low, high])[0] < 1.1e300
        assert missed_by(Support.reals(1), [low])[0] > 1e300

    def test_counts(self):
        counts = Support.integers(1, low=0)
        assert missed_by(counts, [counts]) is None
        assert missed_by(Support.integers(1, 0, 10), [counts]) is None
        assert missed_by(counts, [Support.integers(1, 0, 10)]).tolist() == [11]
        below, above = Support.integers(1, 0, 3), Support.integers(1, low=5)
        assert missed_by(counts, [below, above]).tolist() == [4]
        assert missed_by(counts, [below, above, Support.integers(1, 4, 4)]) is None
        assert missed_by(Support.integers(1), [counts])[0] < 0

    def test_holes_are_filled_by_others(self):
        counts = Support.integers(2, low=0)
        holed = [Support.integers(2, 0, INF, [[k, 3], [k, 4]]) for k in range(2)]
        assert missed_by(counts, holed).tolist() in [[a, b] for a in (3, 4) for b in (3, 4)]
        assert missed_by(counts, [*holed, Support.integers(2, low=3)]) is None

    def test_reals_do_not_cover_integers(self):
        reals, integers = Support.reals(1), Support.integers(1)
        assert missed_by(integers, [reals]) is not None
        assert missed_by(reals, [integers]) is not None

    def test_mixed_coordinates(self):
        p = joined(Support.reals(2, low=0.0), Support.integers(1, 0, 2))
        q1 = joined(Support.reals(2), Support.integers(1, 0, 2, [[0, 1]]))
        q2 = joined(Support.reals(2, low=[0.0, 5.0]), Support.integers(1, 1, 1))
        point = missed_by(p, [q1, q2])
        assert_missed(point, p, [q1, q2])
        assert point[2] == 1
        assert point[1] < 5
        assert missed_by(p, [q1, joined(Support.reals(2), Support.integers(1, 1, 1))]) is None


# --- against enumeration ---


@st.composite
def products(draw):
    """p and up to four proposals over 0..K-1 in d coordinates, each with some of it missing."""
    d, classes = draw(st.integers(1, 4)), draw(st.integers(1, 4))

    def one():
        low = np.array(draw(st.lists(st.integers(0, 1), min_size=d, max_size=d)))
        high = classes - draw(st.integers(0, 1))
        few = st.lists(
            st.tuples(st.integers(0, d - 1), st.integers(0, classes - 1)),
            max_size=draw(st.sampled_from([0, 1, 4])),
        )
        return Support.integers(d, low, high, draw(few) or ())

    return classes, one(), [one() for _ in range(draw(st.integers(0, 4)))]


@given(products())
@settings(max_examples=500, deadline=None)
def test_against_enumeration(case):
    classes, p, proposals = case
    grid = list(product(range(classes + 1), repeat=p.d))
    outcomes = [point for point in grid if holds(p, point)]
    missed = [point for point in outcomes if not any(holds(q, point) for q in proposals)]
    if not outcomes:
        return
    point = missed_by(p, proposals)
    assert (point is None) == (not missed)
    assert point is None or tuple(point.tolist()) in missed


@st.composite
def boxes(draw):
    """Boxes of reals with ends among a few numbers."""
    d = draw(st.integers(1, 3))

    def one():
        ends = [sorted(draw(st.permutations([-INF, 0.0, 1.0, 2.0, INF]))[:2]) for _ in range(d)]
        return Support.reals(d, *np.transpose(ends))

    return one(), [one() for _ in range(draw(st.integers(0, 5)))]


@given(boxes())
@settings(max_examples=300, deadline=None)
def test_boxes_against_their_cells(case):
    p, proposals = case
    cells = [point for point in product([-0.5, 0.5, 1.5, 2.5], repeat=p.d) if holds(p, point)]
    missed = [point for point in cells if not any(holds(q, point) for q in proposals)]
    point = missed_by(p, proposals)
    assert (point is None) == (not missed)
    if point is not None:
        # So are its neighbours, and p has mass there.
        for step in product([-0.01, 0.0, 0.01], repeat=p.d):
            assert_missed(point + step, p, proposals)


# --- size ---


class TestSize:
    def test_full_proposals_start_no_search(self, monkeypatch):
        monkeypatch.setattr(_support, "_search", None)
        monkeypatch.setattr(_support, "_choices", None)
        p = fs.Normal(np.zeros(1000), 1.0).support_set
        assert missed_by(p, [p] * 100) is None
        assert missed_by(p, [Support.reals(1000, low=0.0)] * 99 + [p]) is None

    def test_many_degenerate_coordinates(self):
        rng = np.random.default_rng(0)
        p = Support.integers(200, 0, 1)
        for share in (0.02, 0.2, 0.5):
            proposals = [
                fs.Bernoulli(rng.choice([0.0, 0.5, 1.0], 200, p=[share / 2, 1 - share, share / 2]))
                for _ in range(8)
            ]
            supports = [q.support_set for q in proposals]
            assert_missed(missed_by(p, supports), p, supports)

    @pytest.mark.parametrize("d", [200, 2000])
    def test_strata_that_are_far_apart(self, d):
        """Eight proposals for the outcomes of three coordinates cover p; without one they do not.

        Each also has a coordinate of its own that p does not have, to no avail.
        """
        at, p = [5, d // 2, d - 7], Support.integers(d, 0, 1, [[k, 1] for k in range(10, 20)])
        strata = [
            Support.integers(d, 0, 1, [*zip(at, bits, strict=True), (10 + j, 1)])
            for j, bits in enumerate(product([0, 1], repeat=3))
        ]
        assert missed_by(p, strata) is None
        assert_missed(missed_by(p, strata[:-1]), p, strata[:-1])

    def test_survivors_are_searched_once_per_coordinate(self, monkeypatch):
        """Four strata at the end cover p; which of four others die on the way does not matter."""
        monkeypatch.setattr(_support, "_MOST_STEPS", 200 * 2**4)
        rng = np.random.default_rng(1)
        p = Support.integers(200, 0, 1)
        strata = [
            Support.integers(200, 0, 1, [(198, a), (199, b)]) for a, b in product([0, 1], repeat=2)
        ]
        others = [
            Support.integers(200, 0, 1, np.column_stack([np.arange(190), rng.integers(0, 2, 190)]))
            for _ in range(4)
        ]
        assert missed_by(p, [*strata, *others]) is None
        assert_missed(missed_by(p, [*strata[1:], *others]), p, [*strata[1:], *others])

    def test_what_cannot_be_decided_is_said(self):
        """Three exclusions in each of 250 proposals: a satisfiability problem."""
        rng = np.random.default_rng(2)
        p = Support.integers(50, 0, 1)
        proposals = [
            Support.integers(
                50, 0, 1, np.column_stack([rng.choice(50, 3, replace=False), rng.integers(0, 2, 3)])
            )
            for _ in range(250)
        ]
        with pytest.raises(ValueError, match=r"250 proposals .* could not be decided"):
            missed_by(p, proposals)
        assert missed_by(p, [*proposals, p]) is None


class TestTies:
    SIMPLEX = Support.reals(3, 0, 1, ties=[Tie(0, 3, "simplex")])
    TOTAL = Support.integers(3, 0, 5, ties=[Tie(0, 3, ("total", 5))])
    BOX = Support.integers(3, 0, 5)

    def test_ties_of_integers_narrow_a_support(self):
        assert missed_by(self.TOTAL, [self.BOX]) is None
        assert missed_by(self.TOTAL, [self.TOTAL]) is None
        assert missed_by(self.BOX, [self.TOTAL]) is not None
        assert missed_by(self.BOX, [self.TOTAL, self.BOX]) is None
        other = Support.integers(3, 0, 5, ties=[Tie(0, 3, ("total", 4))])
        assert missed_by(self.TOTAL, [other]) is not None

    def test_ties_of_reals_must_be_equal(self):
        assert missed_by(self.SIMPLEX, [self.SIMPLEX]) is None
        cube = Support.reals(3, 0, 1)
        for p, q in ((self.SIMPLEX, cube), (cube, self.SIMPLEX)):
            with pytest.raises(ValueError, match=r"simplex of 0…2.*none|none.*simplex of 0…2"):
                missed_by(p, [p, q])

    def test_ties_move_in_a_product(self):
        joint = self.BOX.times(self.SIMPLEX).times(self.TOTAL)
        assert joint.ties == {Tie(3, 6, "simplex"), Tie(6, 9, ("total", 5))}
        assert joint.compatible_with(self.TOTAL.times(self.SIMPLEX).times(self.BOX))
        assert not joint.compatible_with(self.SIMPLEX.times(self.BOX).times(self.TOTAL))

    @pytest.mark.parametrize(
        ("p", "proposals", "said"),
        [
            ([BOX], [TOTAL], "all that p does: q0 only has samples with total 5"),
            ([TOTAL], [Support.integers(3, 0, 5, ties=[Tie(0, 3, ("total", 4))])],
             "all that p does: q0 only has samples with total 4"),
            ([TOTAL], [Support.integers(3, 1, 5)], "all that p does, samples with total 5"),
            ([BOX], [Support.integers(3, 0, 4), TOTAL],
             "all that p does: q1 only has samples with total 5"),
            ([Support.integers(3, 0, 2)],
             [Support.integers(3, 0, 2, ties=[Tie(0, 3, "permutation")])],
             "all that p does: q0 only has samples with every item once"),
            ([Support.integers(2, 0, 9)],
             [Support.integers(2, 0, 9, ties=[Tie(1, 2, ("values", 0, 2, 4, 6, 9))])],
             "all that p does: q0 only has samples with values 0, 2, 4, 6, … in x[1]"),
            ([SIMPLEX.times(Support.reals(2))],
             [SIMPLEX.times(Support.reals(2, [-np.inf, 0.0]))], "x[4] = -1.0, which p does"),
            ([BOX.times(TOTAL)], [BOX.times(BOX), Support.integers(6, 1, 5)], None),
            ([BOX.times(TOTAL)], [Support.integers(6, 1, 5)], "x[0] = 0, which p does"),
            ([BOX.times(TOTAL)], [BOX.times(Support.integers(3, 1, 5))],
             "all that p does, samples with total 5 in x[3…5]"),
            ([BOX], [Support.integers(3, 1, 5)], "x = [0 0 0], which p does"),
        ],
    )  # fmt: skip
    def test_what_is_missed_is_said(self, p, proposals, said):
        """A point alone would mislead: tied proposals may reach it, and a tied p may not."""
        owners = [f"q{j}" for j in range(len(proposals))]
        told = uncovered(p, proposals, owners, "proposal")
        assert told == (said and f"no proposal reaches {said}")

    def test_proposals_of_another_total(self):
        with pytest.raises(ValueError, match=r"proposals\[0\] only has samples with total 3:"):
            fs.gradient(
                lambda x: x[:, 0], fs.Multinomial(4, np.ones(3)),
                proposals=[fs.Multinomial(3, np.ones(3))],
            )  # fmt: skip
