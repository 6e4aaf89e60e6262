"""Set Transformer in NumPy, with gradients derived by hand."""

from functools import partial

import numpy as np

from jattn.oracle.attention.multi_head import multi_head_attention
from jattn.oracle.layers.norms import layer_norm
from jattn.oracle.transformer.encoder_block import only, transformed
from jattn.oracle.transformer.feed_forward import feed_forward
from jattn.oracle.transformer.order import post_norm


def set_attention_block(params, query, key, *, valid=None):
    """Returns ((outputs, weights), pullback), as `jax.vjp` does.

    The keys are read as keys and as values, so that their gradient is the sum of both.
    """
    kept = np.ones((len(query), len(key)), bool)
    if valid is not None:
        kept = kept & valid

    def read(rows):
        found, back = multi_head_attention(params.attention, rows, key, key, mask=kept)

        def pullback(cotangent):
            d_params, d_rows, as_keys, as_values = back(cotangent)
            return d_rows, (d_params, as_keys + as_values)  # type: ignore[operator]

        return found, pullback

    first_norm, last_norm = params.attention_norm, params.feed_forward_norm
    (attended, weights), of_first = post_norm(partial(layer_norm, first_norm), read, query)
    network = partial(transformed, feed_forward, params.feed_forward)
    (outputs, _), of_second = post_norm(partial(layer_norm, last_norm), network, attended)

    def pullback(cotangent):
        d_attended, d_last_norm, d_network = of_second((cotangent[0], None))
        d_query, d_first_norm, (d_attention, d_key) = of_first((d_attended, cotangent[1]))
        d_params = type(params)(d_attention, d_first_norm, d_network, d_last_norm)
        return d_params, d_query, d_key

    return (outputs, weights), pullback


def induced_set_attention(params, inputs, *, valid=None):
    """Returns (outputs, pullback): the set is read by the points, and reads them in turn."""
    used = np.arange(len(inputs)) if valid is None else np.flatnonzero(valid)
    members = only(used, inputs)
    (summary, weights), of_into = set_attention_block(
        params.into, params.points, members, valid=valid
    )
    (outputs, others), of_out = set_attention_block(params.out_of, members, summary)

    def pullback(d_outputs):
        d_out_of, d_members, d_summary = of_out((only(used, d_outputs), np.zeros_like(others)))
        d_into, d_points, d_read = of_into((d_summary, np.zeros_like(weights)))
        return type(params)(d_points, d_into, d_out_of), only(used, d_members + d_read)

    return only(used, outputs), pullback


def pooling_by_attention(params, inputs, *, valid=None):
    """Returns (outputs, pullback): the seeds read the members after a network of each."""
    used = np.arange(len(inputs)) if valid is None else np.flatnonzero(valid)
    members, of_members = feed_forward(params.members, only(used, inputs))
    (outputs, weights), of_block = set_attention_block(
        params.block, params.seeds, members, valid=valid
    )

    def pullback(d_outputs):
        d_block, d_seeds, d_read = of_block((d_outputs, np.zeros_like(weights)))
        d_network, d_inputs = of_members(d_read)
        return type(params)(d_seeds, d_network, d_block), only(used, d_inputs)

    return outputs, pullback
