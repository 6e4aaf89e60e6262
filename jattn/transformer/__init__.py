"""Transformers, Vaswani et al. (2017), arXiv:1706.03762: blocks, stacks, step-by-step decoding."""
