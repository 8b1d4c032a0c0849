"""Weights of their own for score columns: terms of f, or its conditional expectations.

Some functions of a tile, *terms*, stand in columns.  A *weight* is a sum of some of them less a
reference, and stands in for f where it multiplies the score columns that belong to it:
``F[index[j]] += weight s_j``.  A table says which terms a weight sums, and which natural score
columns are its own.
"""

from __future__ import annotations

from fastscore.engine import stages
from fastscore.engine.jit import elementwise, plain, reduction
from fastscore.engine.memory import as_floats, as_integers, offset, vector
from fastscore.engine.sweeps import evaluate, sweep

#: The table: the tile function that writes the terms, their number, whether f is their sum, the
#: number of weights, and addresses: of whether a weight starts anew or adds to the one before; of
#: where its terms end in a list of them, and of that list; of where its natural score columns end
#: in theirs, and of that list; of its reference; the number of natural columns, which entry each
#: belongs to, and, where entries are shared, which column it stands in itself; the table of
#: ``sweeps``, where terms are f by values of coordinates, and there are no weights; that of
#: ``stages``, where terms stand in place of ``f s``, and there are none either.
TABLE = 15
(EVALUATE_AT, TERMS, SUMMED, WEIGHTS, FRESH_AT, TERMS_END_AT, TERMS_AT, COLUMNS_END_AT, COLUMNS_AT,
 REFERENCES_AT, COLUMNS, ENTRIES_AT, NATURAL_AT, SWEEP_AT, STAGES_AT) = range(TABLE)  # fmt: skip
#: In place of an address: scores of an entry have one column only; there is no such table.
UNSHARED = NO_SWEEP = NO_STAGES = 0


@elementwise
def _add(column, rows, total):
    for t in range(rows):
        total[t] += column[t]


@elementwise
def _taint(column, rows, total):
    for t in range(rows):
        total[t] += 0.0 * column[t]


@plain
def _clear(column, rows):
    for t in range(rows):
        column[t] = 0.0


@plain
def evaluate_terms(table, f, x, value, terms, rows, d, stride, args):
    """Terms of a tile into their columns, and f, if it is their sum; whether that failed.

    Otherwise it is known, and becomes NaN where a term is not finite.
    """
    first = 0 if table[STAGES_AT] == NO_STAGES else stages.prepared(table[STAGES_AT])
    if table[STAGES_AT] != NO_STAGES and stages.has_evaluate(table[STAGES_AT]):
        status = stages.evaluate(table[STAGES_AT], f, x, value, rows, d, stride, args, terms)
    elif table[SWEEP_AT] == NO_SWEEP:
        status = evaluate(table[EVALUATE_AT], (x, terms, rows, d, stride, args))
    else:
        kept = offset(terms, -stride)
        status = sweep(as_integers(table[SWEEP_AT]), f, x, kept, terms, rows, d, stride, args)
    if status == 0:
        total = vector(value, rows)
        if table[SUMMED] != 0:
            _clear(total, rows)
        for i in range(first, table[TERMS]):
            term = vector(offset(terms, i * stride), rows)
            if table[SUMMED] != 0:
                _add(term, rows, total)
            else:
                _taint(term, rows, total)
    return status


@reduction
def _sum(total, rows, reference):
    out = 0.0
    for t in range(rows):
        out += total[t] - reference
    return out


@elementwise
def _multiply(total, reference, s, rows, out):
    for t in range(rows):
        out[t] += (total[t] - reference) * s[t]


@plain
def add_weighted_scores(table, total, terms, scores, natural, out, stride, rows, sums):
    """Add each score column times its weight to ``out``, and each weight to its sum.

    Parameters
    ----------
    table : pointer
        See `TABLE`.
    total : pointer
        A column to work in.
    terms, scores, natural, out : pointer
        Columns: of the terms; of the scores by entry; of the natural scores, which are added to
        ``scores`` if entries are shared; and of the weighted scores by entry.
    sums : pointer
        A sum for each weight.
    """
    fresh, references = as_integers(table[FRESH_AT]), as_floats(table[REFERENCES_AT])
    terms_end, which = as_integers(table[TERMS_END_AT]), as_integers(table[TERMS_AT])
    columns_end, columns = as_integers(table[COLUMNS_END_AT]), as_integers(table[COLUMNS_AT])
    entries = as_integers(table[ENTRIES_AT])
    shared = table[NATURAL_AT] != UNSHARED
    weight = vector(total, rows)
    term = column = 0
    for i in range(table[WEIGHTS]):
        if fresh[i] != 0:
            _clear(weight, rows)
        while term < terms_end[i]:
            _add(vector(offset(terms, which[term] * stride), rows), rows, weight)
            term += 1
        sums[i] += _sum(weight, rows, references[i])
        while column < columns_end[i]:
            j = columns[column]
            at = entries[j] * stride
            source = offset(natural, j * stride) if shared else offset(scores, at)
            s = vector(source, rows)
            _multiply(weight, references[i], s, rows, vector(offset(out, at), rows))
            if shared:
                _add(s, rows, vector(offset(scores, at), rows))
            column += 1
