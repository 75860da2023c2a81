"""Judges finished tables: a great-expectations suite a tier and the invariants between tiers.

Suites and invariants are tuples of values; `judge` runs them on one partition, `gate` refuses to build on a partition
that failed, `asset_checks` shows them in Dagster, `report` writes them as one HTML page.
"""
