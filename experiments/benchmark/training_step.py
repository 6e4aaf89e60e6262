"""The optimiser of the main job, at the rate where its schedule is highest, for every library."""

SMOOTHING = 0.02  # Of the labels.
CLIPPED_AT = 1.0  # The norm of the gradient.
RATE, DECAY = 5e-3, 0.98  # Of Adam, with the decay of the squares.
