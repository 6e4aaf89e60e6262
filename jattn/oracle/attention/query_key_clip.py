"""QK-clip in NumPy, one head at a time, with its gradient derived by hand."""

import numpy as np


def clip_query_key(params, largest, *, threshold=100.0):
    """Returns (params, pullback), as `jax.vjp` does.

    For head h of the group whose smallest ratio γ_m is that of head m, with y = γ_h γ_m^-½ q and
    z = γ_m^½ k, and with dγ_h = γ_m^-½ Σ dy q:

        dq = γ_h γ_m^-½ dy        dk = γ_m^½ dz
        dγ_m also gets ½ γ_m^-½ Σ dz k - ½ Σ_h γ_h γ_m^-3/2 Σ dy q
        dlargest = -dγ threshold / largest², where it exceeds the threshold
    """
    heads, groups = len(params.query_weight), len(params.key_weight)
    size = heads // groups
    ratios = [threshold / x if x.real > threshold else 1 + 0 * x for x in largest]
    smallest = [
        min(range(g * size, (g + 1) * size), key=lambda h: ratios[h].real, default=None)
        for g in range(groups)
    ]
    of_key = [1.0 if m is None else np.sqrt(ratios[m]) for m in smallest]
    of_query = [ratios[h] / of_key[h // size] for h in range(heads)]
    fields = {"query_weight": of_query, "key_weight": of_key}
    fields |= {"query_bias": of_query, "key_bias": of_key}
    fields = {name: f for name, f in fields.items() if getattr(params, name) is not None}
    clipped = params._replace(
        **{name: scaled(factors, getattr(params, name)) for name, factors in fields.items()}
    )

    def pullback(cotangent):
        kind = np.result_type(*(x for x in (*params, *cotangent, largest) if x is not None))
        d_query, d_key = np.zeros(heads, kind), np.zeros(groups, kind)
        for name in fields:
            d_factors = d_query if name.startswith("query") else d_key
            for place, (d, array) in enumerate(
                zip(getattr(cotangent, name), getattr(params, name), strict=True)
            ):
                d_factors[place] += (d * array).sum()
        d_ratio = np.zeros(heads, kind)
        for h in range(heads):
            root = of_key[h // size]
            d_ratio[h] += d_query[h] / root
            d_ratio[smallest[h // size]] -= d_query[h] * ratios[h] / (2 * root**3)
        for g, m in enumerate(smallest):
            if m is not None:
                d_ratio[m] += d_key[g] / (2 * of_key[g])
        d_largest = np.zeros(heads, kind)
        for h, x in enumerate(largest):
            d_largest[h] = -d_ratio[h] * threshold / x**2 if x.real > threshold else 0
        d_params = {name: scaled(f, getattr(cotangent, name)) for name, f in fields.items()}
        return cotangent._replace(**d_params), d_largest

    return clipped, pullback


def clip_latent_query_key(params, largest, *, threshold=100.0):
    """Returns (params, pullback), as `jax.vjp` does.

    With y = γ^p x of a field of power p: dx = γ^p dy and dγ = p γ^(p - 1) Σ dy x.
    """
    powers = {"query_up": 0.5, "key_up": 0.5, "query_rotary": 1}
    ratios = np.array([threshold / x if x.real > threshold else 1 + 0 * x for x in largest])
    clipped = params._replace(
        **{name: scaled(ratios**p, getattr(params, name)) for name, p in powers.items()}
    )

    def pullback(cotangent):
        d_largest = np.zeros(len(largest), np.result_type(*cotangent, *params, largest))
        for h, x in enumerate(largest):
            for name, p in powers.items():
                along = (getattr(cotangent, name)[h] * getattr(params, name)[h]).sum()
                if x.real > threshold:
                    d_largest[h] -= p * ratios[h] ** (p - 1) * along * threshold / x**2
        d_params = {n: scaled(ratios**p, getattr(cotangent, n)) for n, p in powers.items()}
        return cotangent._replace(**d_params), d_largest

    return clipped, pullback


def scaled(factors, array):
    """Returns each head of an array times its own factor."""
    result = np.zeros(array.shape, np.result_type(array, *factors))
    for place, (factor, part) in enumerate(zip(factors, array, strict=True)):
        result[place] = factor * part
    return result
