"""Benchmarks of fastscore; not part of the installed package."""
