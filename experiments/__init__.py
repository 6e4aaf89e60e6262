"""Experiments with jattn, each a folder and a command: `python -m experiments.<name>`."""
