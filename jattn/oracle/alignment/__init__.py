"""Mechanisms with memory in NumPy, one query at a time, with gradients through time by hand."""
