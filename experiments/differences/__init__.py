"""What other libraries do in float64, on empty rows and with padding, measured, beside jattn.

    python -m experiments.differences --markdown --out runs/differences.json

Libraries that are not installed are listed as such; the extra `peers` brings them.
"""
