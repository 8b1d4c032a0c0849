"""What a family of one's own is written with, as the built-in files are.

`Coordinates` makes the kernels of independent coordinates from scalar functions, which are
decorated with `inlined`, and take `exp` and `log` from here, which vectorise; samplers of whole
columns start from `normals`, `exponentials` or `uniforms`.  Functions of one whole sample are
simpler to write: see `Custom`.
"""

from fastscore.engine.exponentials import exponentials, uniforms
from fastscore.engine.jit import elementwise, inlined
from fastscore.engine.memory import vector
from fastscore.engine.normals import normals
from fastscore.engine.vecmath import exp, log
from fastscore.families._coordinates import Coordinates
from fastscore.families._family import Family
from fastscore.families._parameters import Given, positive, probability, real

__all__ = [
    "Coordinates",
    "Family",
    "Given",
    "elementwise",
    "exp",
    "exponentials",
    "inlined",
    "log",
    "normals",
    "positive",
    "probability",
    "real",
    "uniforms",
    "vector",
]
