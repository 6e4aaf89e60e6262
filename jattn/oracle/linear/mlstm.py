"""The matrix LSTM in NumPy: its maxima step by step, the rest by the delta rule's oracle."""

import numpy as np

from jattn.oracle.linear.rule import delta_rule


def mlstm(
    query,
    key,
    value,
    input_gate,
    forget,
    *,
    initial=None,
    initial_key_sum=None,
    initial_maximum=None,
    length=None,
    chunk_size=None,
):
    """Returns ((outputs, state, key_sum, maximum), pullback), as `jax.vjp` does.

    With the maxima m as constants, step t has the decay f e^(m before - m) and the key e^(i - m) k,
    of which d f, d i and d k are those of products. Of the divisor D = |z| or e^(-m) of a step
    with the sum s and the total z: ds = do / D, and dz = -sign(z) (o · do) / D if D = |z|, else 0.
    A first maximum multiplies both starts by e^(m₀ - m), and has d m₀ = Σ start dstart.
    """
    steps, features = key.shape
    valid = steps if length is None else int(length)
    given = 0.0 if initial_maximum is None else initial_maximum
    first = max(np.real(given), 0.0)
    maxima, maximum = [], first
    for step in range(valid):
        faded = np.log(forget[step].real) + maximum if forget[step].real else -np.inf
        maximum = max(faded, input_gate[step].real, 0.0)
        maxima.append(maximum)
    before = np.array([first, *maxima][: len(maxima)])
    after = np.array(maxima)
    between, scale = np.ones(steps), np.zeros(steps, input_gate.dtype)
    between[:valid] = np.exp(before - after)
    scale[:valid] = np.exp(input_gate[:valid] - after)
    start = with_ones(initial, initial_key_sum, features, value.shape[1])
    shrink = np.exp(given - first)
    values = np.concatenate([value, np.ones((steps, 1))], 1)
    (found, last), back = delta_rule(
        query,
        scale[:, None] * key,
        values,
        decay=(between * forget)[:, None],
        initial=shrink * start,
        length=valid,
    )
    floors = np.ones(steps)
    floors[:valid] = np.exp(-after)
    totals = found[:, -1]
    sizes = np.real(totals)
    by_total = np.abs(sizes) > floors
    signs = np.where(sizes < 0, -1, 1)
    divisors = np.where(by_total, signs * totals, floors)
    outputs = found[:, :-1] / divisors[:, None]

    def pullback(cotangents):
        d_outputs, d_state, d_key_sum, _ = cotangents
        d_found = np.zeros(found.shape, np.result_type(found, d_outputs))
        d_found[:, :-1] = d_outputs / divisors[:, None]
        d_found[:, -1] = -np.where(by_total, signs * (outputs * d_outputs).sum(1) / divisors, 0)
        d_last = np.concatenate([d_state, d_key_sum[:, None]], 1)
        d_query, d_scaled, d_values, d_decay, d_start = back((d_found, d_last))
        d_gate = (d_scaled * scale[:, None] * key).sum(1)
        gradients = [d_query, d_scaled * scale[:, None], d_values[:, :-1], d_gate]
        gradients.append(between * d_decay[:, 0])
        return (
            *gradients,
            *of_starts(d_start, shrink, start, initial, initial_key_sum, initial_maximum),
        )

    return (outputs, last[:, :-1], last[:, -1], np.asarray(maximum, found.dtype)), pullback


def with_ones(state, key_sum, features, size):
    """Returns the state with the sum of keys as its last column; zeros for what is None."""
    arrays = [x for x in (state, key_sum) if x is not None]
    start = np.zeros((features, size + 1), np.result_type(float, *arrays))
    if state is not None:
        start[:, :-1] = state
    if key_sum is not None:
        start[:, -1] = key_sum
    return start


def of_starts(d_start, shrink, start, state, key_sum, maximum):
    """Returns the cotangents of those of the three starts that are given."""
    if state is not None:
        yield shrink * d_start[:, :-1]
    if key_sum is not None:
        yield shrink * d_start[:, -1]
    if maximum is not None:
        yield shrink * (d_start * start).sum()
