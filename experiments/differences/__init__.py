"""Measurements of jattn and other libraries: float64, empty rows, padding, large scores.

    python -m experiments.differences --markdown --out runs/differences.json

Libraries that are not installed are listed as such; the extra `peers` installs them.
"""
