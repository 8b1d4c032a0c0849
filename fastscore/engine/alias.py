"""Draws of a class in constant time: the alias method (Walker 1977; Vose 1991)."""

from __future__ import annotations

import numpy as np

from fastscore.engine.jit import elementwise, entry, inlined, plain
from fastscore.engine.memory import as_integers, as_words, multiply_high, offset
from fastscore.engine.normals import CHUNK
from fastscore.engine.streams import LANES, fill_words

#: Words per class of a table: below the first of them the second is drawn, the class itself, else
#: the third, its alias.  An index picks one of the two: a choice would become a branch, which
#: random numbers mispredict (0.6 against 4.8 ns a draw).
ENTRY = 3


@entry
def alias_table(probs, table):
    """Fill the table of one variable: a class keeps part of its cell, an alias has the rest."""
    count = probs.size
    weight = probs * count
    small, large = np.empty(count, np.int64), np.empty(count, np.int64)
    smalls = larges = 0
    for j in range(count):
        if weight[j] < 1.0:
            small[smalls] = j
            smalls += 1
        else:
            large[larges] = j
            larges += 1
        table[ENTRY * j] = np.uint64(0xFFFFFFFFFFFFFFFF)
        table[ENTRY * j + 1] = table[ENTRY * j + 2] = np.uint64(j)
    while smalls > 0 and larges > 0:
        smalls -= 1
        a, b = small[smalls], large[larges - 1]
        table[ENTRY * a] = np.uint64(weight[a] * 2.0**64)
        table[ENTRY * a + 2] = np.uint64(b)
        weight[b] -= 1.0 - weight[a]
        if weight[b] < 1.0:
            larges -= 1
            small[smalls] = b
            smalls += 1


@inlined
def class_of(word, table, count):
    """The class that a word draws."""
    at = ENTRY * np.int64(multiply_high(word, np.uint64(count)))
    within = word * np.uint64(count)
    return np.int64(table[at + 1 + np.int64(within >= table[at])])


@elementwise
def draw_classes(words, table, count, rows, out):
    """One class per random word: ``word × count`` has the cell above 2⁶⁴, and below it the place
    within the cell."""
    for t in range(rows):
        out[t] = class_of(words[t], table, count)


@plain
def fill_classes(stream, scratch, out, rows, table, count):
    """Write so many draws of one of ``count`` classes to a column."""
    words = as_words(scratch)
    for start in range(0, rows, CHUNK):
        length = min(CHUNK, rows - start)
        fill_words(stream, words, -(-length // LANES) * LANES)
        draw_classes(words, table, count, length, as_integers(offset(out, start)))
