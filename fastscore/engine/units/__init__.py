"""Runs by units of several draws: of proposals in exact proportion, or of p in a pattern."""
