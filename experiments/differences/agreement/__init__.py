"""Comparison with functions of other libraries in float64, values and gradients.

    python -m experiments.differences.agreement --markdown

Libraries that are not installed are listed as such; the extra `peers` installs them.
"""
