"""The workloads, by name."""

from asv_benchmarks.peers.workloads._workload import Array, Workload
from asv_benchmarks.peers.workloads.bernoulli import Bernoulli
from asv_benchmarks.peers.workloads.categorical import Categorical
from asv_benchmarks.peers.workloads.gaussian import Gaussian
from asv_benchmarks.peers.workloads.importance import Importance
from asv_benchmarks.peers.workloads.multivariate import Multivariate, with_lower_half

__all__ = [
    "WORKLOADS",
    "Array",
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "Importance",
    "Multivariate",
    "Workload",
    "with_lower_half",
]

WORKLOADS: dict[str, type[Workload]] = {
    "W1": Gaussian,
    "W2": Bernoulli,
    "W3": Categorical,
    "W4": Importance,
    "W5": Multivariate,
}
