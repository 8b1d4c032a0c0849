"""The stages in which terms that stand in place of ``f s`` are made of a tile.

``prepare``   draw what f is evaluated at beside the sample, into the first columns of terms
``evaluate``  call the user's functions, and fill the other columns
``contract``  add to each parameter entry's column what terms and sample make of it

Only the last must be there: without ``evaluate`` one tile function writes all terms.
"""

from __future__ import annotations

from numba import types

from fastscore.engine.jit import plain
from fastscore.engine.memory import as_integers, caller, floats, i8, integers, words

#: prepare(own, params, stream, scratch, x, rows, d, stride, terms)
PREPARE = types.void(integers, floats, words, floats, floats, i8, i8, i8, floats)
#: evaluate(own, f, x, value, rows, d, stride, args, terms): whether it failed; ``value`` is f of x.
#: It may change x for as long as it works.
EVALUATE = types.int64(integers, i8, floats, floats, i8, i8, i8, integers, floats)
#: contract(own, params, x, terms, rows, d, stride, index, out): add what belongs to natural score
#: column j to ``out[index[j]]``.
CONTRACT = types.void(integers, floats, floats, floats, i8, i8, i8, integers, floats)

_prepare = caller(PREPARE)
_evaluate = caller(EVALUATE)
_contract = caller(CONTRACT)

#: The table that they are given as ``own``: their addresses, or 0; how many columns of terms are
#: prepared; then addresses of arrays of their own.
PREPARE_AT, EVALUATE_AT, CONTRACT_AT, PREPARED, DATA_AT = range(5)


@plain
def prepare(table, params, stream, scratch, x, rows, d, stride, terms):
    """The first stage, if there is one."""
    own = as_integers(table)
    if own[PREPARE_AT] != 0:
        _prepare(own[PREPARE_AT], (own, params, stream, scratch, x, rows, d, stride, terms))


@plain
def evaluate(table, f, x, value, rows, d, stride, args, terms):
    """The second."""
    own = as_integers(table)
    return _evaluate(own[EVALUATE_AT], (own, f, x, value, rows, d, stride, args, terms))


@plain
def contract(table, params, x, terms, rows, d, stride, index, out):
    """The last."""
    own = as_integers(table)
    _contract(own[CONTRACT_AT], (own, params, x, terms, rows, d, stride, index, out))


@plain
def has_evaluate(table):
    """Whether there is a second stage."""
    return as_integers(table)[EVALUATE_AT] != 0


@plain
def prepared(table):
    """Columns of terms that the first stage fills."""
    return as_integers(table)[PREPARED]
