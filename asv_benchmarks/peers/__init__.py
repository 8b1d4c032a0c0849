"""One problem, several implementations: fastscore against hand-written C and plain NumPy.

Run ``python -m asv_benchmarks.peers --help`` from the root of the repository.
"""
