"""Times, errors and memory of jattn and of other libraries: `python -m experiments.benchmark`."""
