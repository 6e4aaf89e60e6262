"""Times and memory beside other libraries: `python -m experiments.benchmark`.

`python -m experiments.benchmark.import_time` times `import jattn` alone.
"""
