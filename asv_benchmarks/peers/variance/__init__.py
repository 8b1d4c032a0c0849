"""Variance times seconds of gradients: fastscore against NumPy, PyTorch and JAX.

``python -m asv_benchmarks.peers.variance`` prints the table.  The peers have scores in closed form
and the leave-one-out mean as the baseline; fastscore has its options.
"""
