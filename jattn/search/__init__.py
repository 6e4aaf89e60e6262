"""Greedy search, beam search and sampling with any step function."""
