"""Measurements of time: `python -m experiments.benchmark.import_time`."""
