"""A digital barrier option: a pay-off that has no useful derivative.

The price of a share moves by a normal increment every month (Bachelier's model).  The option
pays 1 after a year if the price ends above the strike and has been above the barrier at every
month's end.  The pay-off is 0 or 1: its derivative is zero almost everywhere, and its
sensitivities can only come from the distribution.

    fastscore run barrier.py
"""

import math

import numpy as np
from numba import njit

import fastscore as fs

MONTHS = 12
SPOT = 100.0
STRIKE = 105.0
BARRIER = 90.0
#: Standard deviation of each month's increment: calm at first, then less so.
SIGMA = np.linspace(4.0, 7.0, MONTHS)


@njit
def f(x, strike, barrier):
    """Pay-off: x[0] is the price after the first month, the rest are increments."""
    price = 0.0
    alive = 1.0
    for increment in x:
        price += increment
        alive = alive if price > barrier else 0.0
    return alive if price > strike else 0.0


p = fs.Normal(loc=[SPOT] + [0.0] * (MONTHS - 1), scale=SIGMA)
args = (STRIKE, BARRIER)
n = 10_000_000

title = "Digital option, strike 105, barrier 90, watched at each month's end"
#: The mean of the first price moves with the spot: its gradient is the delta.  Entries labelled
#: None are not shown.
labels = {
    "loc": ["delta"] + [None] * (MONTHS - 1),
    "scale": [f"vega, month {month}" for month in range(1, MONTHS + 1)],
}


def european():
    """Value and sensitivities without a barrier: the sum of the increments is normal."""
    deviation = math.sqrt((SIGMA**2).sum())
    d = (SPOT - STRIKE) / deviation
    density = math.exp(-0.5 * d * d) / math.sqrt(2 * math.pi)
    return {
        "value": 0.5 * math.erfc(-d / math.sqrt(2)),
        "loc": np.full(MONTHS, density / deviation),
        "scale": -density * d * SIGMA / deviation**2,
    }


#: A special case with a closed form, to hold the estimate to.
special = {
    "title": "Special case: no barrier, against its closed form",
    "args": (STRIKE, -math.inf),
    "exact": european(),
}
