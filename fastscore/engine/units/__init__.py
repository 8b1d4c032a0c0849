"""Importance sampling by units, which hold each proposal in its exact proportion."""
