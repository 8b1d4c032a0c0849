"""The implementations: dictionaries of solvers, by the name of the workload.

A module imports its library at the top, and so cannot be imported where that is not installed.
"""
