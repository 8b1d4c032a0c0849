"""Importance sampling: proposals, heuristics, and diagnostics of the weights."""
