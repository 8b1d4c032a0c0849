"""Some workloads, several implementations: fastscore against C, NumPy, PyTorch and JAX.

Run ``python -m asv_benchmarks.peers --help`` from the root of the repository.
"""
