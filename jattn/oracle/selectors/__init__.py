"""Oracles of selectors: masks made of sets of keys, with a gradient of zero."""
