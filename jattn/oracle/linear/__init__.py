"""Linear recurrences whose state is a matrix, in NumPy."""
