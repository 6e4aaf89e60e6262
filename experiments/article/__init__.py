"""The article's listing made to work, and its worked example; `python -m experiments.article`."""
