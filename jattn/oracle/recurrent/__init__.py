"""GRU cells and their unrolling in NumPy, with gradients derived by hand."""
