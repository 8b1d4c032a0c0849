"""Standard normals in bulk by Box and Muller (1958), shifted and scaled on the way.

That makes two normals of two words: of structured words inversion makes one of each.
"""

from __future__ import annotations

from fastscore.engine.jit import elementwise
from fastscore.engine.memory import as_words, offset, vector
from fastscore.engine.streams import fill_words
from fastscore.engine.structured import RANDOM, invert_structured, kind_of
from fastscore.engine.vecmath import quarter_turns, radius

#: Normals are made in runs of this length, so that words and radii stay in L1.
CHUNK = 512
#: Doubles of scratch that `normals` needs.
SCRATCH = CHUNK + CHUNK // 2
#: The count of normals must be a multiple of this.
MULTIPLE = 16


@elementwise
def normals(stream, scratch, out, count, loc, scale):
    """Write ``count`` draws of Normal(loc, scale), a multiple of `MULTIPLE`, to ``out``.

    Bits, radii and angles are three passes over an L1-sized run: one fused loop spills
    registers.
    """
    words = as_words(scratch)
    for start in range(0, count, CHUNK):
        length = min(CHUNK, count - start)
        half = length // 2
        fill_words(stream, words, length)
        if kind_of(stream) != RANDOM:
            invert_structured(
                stream, words, offset(scratch, CHUNK), offset(out, start), length, loc, scale
            )
            continue
        _radii(vector(words, half), vector(offset(scratch, CHUNK), half), half)
        _angles(
            vector(offset(words, half), half),
            vector(offset(scratch, CHUNK), half),
            vector(offset(out, start), half),
            vector(offset(out, start + half), half),
            half, loc, scale,
        )  # fmt: skip


@elementwise
def _radii(words, radii, count):
    for i in range(count):
        radii[i] = radius(words[i])


@elementwise
def _angles(words, radii, first, second, count, loc, scale):
    for i in range(count):
        cosine, sine = quarter_turns(words[i])
        distance = radii[i] * scale
        first[i] = loc + distance * cosine
        second[i] = loc + distance * sine
