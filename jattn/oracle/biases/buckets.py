"""T5's biases in NumPy, one pair at a time; buckets are compared as fractions."""

from fractions import Fraction

from jattn.oracle.biases.each import every_pair


def t5(table, *, bidirectional=True, max_distance=128):
    """Returns a function of distances that returns (bias, pullback): dtable[bucket, h] = db."""
    place = lambda n: bucket(n, len(table), bidirectional, max_distance)
    return lambda distances: every_pair(
        [table],
        table.shape[1],
        distances,
        lambda head, n: table[place(n), head],
        lambda head, n: [((place(n), head), 1)],
    )


def bucket(distance, buckets, bidirectional, max_distance):
    """Returns the bucket of a key that many positions after the query."""
    if bidirectional and distance > 0:
        return buckets // 2 + bucket(-distance, buckets // 2, False, max_distance)
    if bidirectional:
        return bucket(distance, buckets // 2, False, max_distance)
    size, single = max(-distance, 0), buckets // 2
    if size < single:
        return size
    shared = buckets - single
    ratio, whole = Fraction(size, single) ** shared, Fraction(max_distance, single)
    steps = [step for step in range(shared) if whole**step <= ratio]
    return single + max(steps)
