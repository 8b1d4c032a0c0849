"""Variance reduction that leaves the estimator exactly unbiased."""
