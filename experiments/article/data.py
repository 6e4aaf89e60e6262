"""The article's input, one it never trains on, and numbers for its worked example."""

import numpy as np

# The article's input: a sequence of three steps with three real numbers each.
INPUT = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float64)

# The article evaluates on what it trained on; this is the same rows in another order.
UNSEEN = INPUT[::-1].copy()

# The article names five queries and keys without numbers. These are small whole numbers with
# d_k = 4: every score is 0, 1 or 2 after division by sqrt(4), and no two rows are alike.
QUERIES = np.array(
    [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2], [1, 1, 1, 1]], dtype=np.float64
)
KEYS = np.array(
    [[2, 0, 0, 0], [2, 2, 0, 0], [0, 2, 2, 0], [0, 0, 2, 2], [0, 0, 0, 2]], dtype=np.float64
)
VALUES = np.array([[1, 0], [0, 1], [1, 1], [2, 0], [0, 2]], dtype=np.float64)
