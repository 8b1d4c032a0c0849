"""Local expectations: f with a coordinate set to each of its values, summed under their scores.

Of a coordinate i with values v, given the others, ``E[f s_j | x_−i] = Σ_v p(v) s_j(v) f(v, x_−i)``
for each natural score column j of its.  As ``Σ_v p(v) s_j(v) = 0``, f of the first value may be
taken off all.
"""

from __future__ import annotations

from numba import types

from fastscore.engine.jit import elementwise, plain
from fastscore.engine.memory import (
    as_floats,
    as_integers,
    floats,
    i8,
    integers,
    native_caller,
    offset,
    vector,
)
from fastscore.engine.triangles import add_product

#: The table: the number of coordinates, and addresses: of these; of where the values of each end
#: in a list of words, and of that list; of where its natural score columns end in a list, and of
#: that list; of the ``p(v) s_j(v)``, value by value of each of these columns; the number of all
#: other natural columns, and the address of a list of them.
TABLE = 9
(COORDINATES, COORDINATES_AT, VALUES_END_AT, VALUES_AT, OWN_END_AT, OWN_AT, COEFFICIENTS_AT,
 OTHERS, OTHERS_AT) = range(TABLE)  # fmt: skip

evaluate = native_caller(types.void(floats, floats, i8, i8, i8, integers))


@plain
def sweep(table, f, x, kept, out, rows, d, stride, args):
    """f of a tile for each value of each coordinate, in columns; whether it failed.

    ``kept`` is a column to work in.
    """
    coordinates = as_integers(table[COORDINATES_AT])
    ends, values = as_integers(table[VALUES_END_AT]), as_integers(table[VALUES_AT])
    i = status = 0
    for c in range(table[COORDINATES]):
        own = as_integers(offset(x, coordinates[c] * stride))
        words = as_integers(kept)
        for t in range(rows):
            words[t] = own[t]
        while i < ends[c] and status == 0:
            for t in range(rows):
                own[t] = values[i]
            status = evaluate(f, (x, offset(out, i * stride), rows, d, stride, args))
            i += 1
        for t in range(rows):
            own[t] = words[t]
    return status


@elementwise
def _add_multiple(factor, a, b, rows, out):
    for t in range(rows):
        out[t] += factor * (a[t] - b[t])


@plain
def add_expected_scores(table, entries, w, values, scores, natural, out, stride, rows):
    """Add to ``out`` the local expectations, and the other scores times w; these to ``scores``.

    Parameters
    ----------
    table, entries : pointer
        See `TABLE`; which entry each natural score column belongs to.
    w, values, natural : pointer
        w; columns of f by value; natural score columns.
    scores, out : pointer
        Columns by entry, that are added to.
    """
    others = as_integers(table[OTHERS_AT])
    for k in range(table[OTHERS]):
        s, at = vector(offset(natural, others[k] * stride), rows), entries[others[k]] * stride
        total, product = vector(offset(scores, at), rows), vector(offset(out, at), rows)
        for t in range(rows):
            total[t] += s[t]
        add_product(vector(w, rows), s, rows, product)
    values_end, own_end = as_integers(table[VALUES_END_AT]), as_integers(table[OWN_END_AT])
    own, coefficients = as_integers(table[OWN_AT]), as_floats(table[COEFFICIENTS_AT])
    first = column = at = 0
    for c in range(table[COORDINATES]):
        start = vector(offset(values, first * stride), rows)
        while column < own_end[c]:
            target = vector(offset(out, entries[own[column]] * stride), rows)
            for i in range(first, values_end[c]):
                value = vector(offset(values, i * stride), rows)
                _add_multiple(coefficients[at], value, start, rows, target)
                at += 1
            column += 1
        first = values_end[c]
