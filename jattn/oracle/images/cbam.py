"""Convolutional block attention in NumPy, one place at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.images.squeeze import network


def cbam(params, features):
    """Returns ((features, factors, places), pullback), as `jax.vjp` does.

    With g = f ∘ x of the factors f = σ(l), the places p = σ(q) and y = p g, where q sums the kernel
    times the mean and the maximum m of the channels of g around a place:

        dp = dplaces + dy · g        dq = p (1 - p) dp        dg = p dy, and dm of its own place
        df = dfactors + Σ dg ∘ x     dl = f (1 - f) df        dx = f ∘ dg, and dmean / n

    A maximum passes its cotangent to the place or channel where it is.
    """
    rows, columns, channels = features.shape
    grid = list(np.ndindex(rows, columns))
    flat = features.reshape(len(grid), channels)
    of_mean, mean_pullback = network(params.channels, flat.sum(0) / len(grid))
    highest = flat.real.argmax(0)
    of_largest, largest_pullback = network(params.channels, flat[highest, range(channels)])
    factors = 1 / (1 + np.exp(-(of_mean + of_largest)))
    gated = features * factors
    best = gated.real.argmax(2)
    squeezed = {
        place: np.array([gated[place].sum() / channels, gated[place][best[place]]])
        for place in grid
    }
    high, wide, _ = params.kernel.shape
    near = {
        (row, column): [
            ((i, j), (row + i - high // 2, column + j - wide // 2))
            for i, j in np.ndindex(high, wide)
            if (row + i - high // 2, column + j - wide // 2) in squeezed
        ]
        for row, column in grid
    }
    places = np.zeros((rows, columns), np.result_type(gated, params.kernel))
    for place in grid:
        sums = sum(params.kernel[tap] @ squeezed[other] for tap, other in near[place])
        places[place] = 1 / (1 + np.exp(-sums))

    def pullback(cotangent):
        d_features, d_factors, d_places = cotangent
        kind = np.result_type(places, d_features, d_factors, d_places)
        d_gated, d_kernel = np.zeros(features.shape, kind), np.zeros(params.kernel.shape, kind)
        for place in grid:
            d_gated[place] += places[place] * d_features[place]
            d_place = d_places[place] + d_features[place] @ gated[place]
            d_sums = places[place] * (1 - places[place]) * d_place
            for tap, other in near[place]:
                d_kernel[tap] += d_sums * squeezed[other]
                d_mean, d_largest = d_sums * params.kernel[tap]
                d_gated[other] += d_mean / channels
                d_gated[(*other, best[other])] += d_largest
        d_own = np.array(d_factors, kind)
        d_inputs = np.zeros((len(grid), channels), kind)
        for index, place in enumerate(grid):
            d_own += d_gated[place] * features[place]
            d_inputs[index] = factors * d_gated[place]
        d_logits = factors * (1 - factors) * d_own
        (first, d_mean), (second, d_largest) = mean_pullback(d_logits), largest_pullback(d_logits)
        d_inputs += d_mean / len(grid)
        d_inputs[highest, range(channels)] += d_largest
        both = zip(first, second, strict=True)
        d_channels = type(first)(*(None if a is None else a + b for a, b in both))
        return type(params)(d_channels, d_kernel), d_inputs.reshape(features.shape)

    return (gated * places[:, :, None], factors, places), pullback
