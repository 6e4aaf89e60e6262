"""Position biases in NumPy, one distance and one head at a time.

The oracle of a bias returns a function of integer distances, which returns `(bias, pullback)`.
"""
