"""Times, errors and memory of jattn and of other libraries: `python -m experiments.benchmark`.

`python -m experiments.benchmark.import_time` times `import jattn` alone.
"""
