"""The plain formulas themselves: additive attention, a GRU, and the main job's model."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.training_step import SMOOTHING


def double(tree):
    """Returns a tree with float64 for float32."""
    is_float = lambda leaf: leaf.dtype == np.float32
    return jax.tree.map(lambda leaf: np.float64(leaf) if is_float(leaf) else leaf, tree)


def in_blocks(function, query, *rest, size=256):
    """Computes `function(query, *others)` in blocks of queries, with rematerialisation."""
    size = size if len(query) % size == 0 else len(query)
    split = lambda array: array.reshape(-1, size, *array.shape[1:])
    kept = jax.checkpoint(function)
    blocks = jax.lax.map(lambda block: kept(*block), (split(query), *map(split, rest)))
    return blocks.reshape(-1, *blocks.shape[2:])


def read(params, query, key, value, mask):
    """Computes additive attention of one example."""
    keys = key @ params.key_weight.T
    offset = 0.0 if params.bias is None else params.bias

    def block(query):
        hidden = jnp.tanh((query @ params.query_weight.T)[:, None] + keys + offset)
        scores = jnp.where(mask, hidden @ params.score_weight, -jnp.inf)
        return jax.nn.softmax(scores) @ value

    return in_blocks(block, query)


def step(params, hidden, inputs):
    """Computes a step of a GRU for a batch; the reset gate comes after the product."""
    of_inputs = jnp.einsum("gni,bi->gbn", params.input_weight, inputs)
    of_hidden = jnp.einsum("gnm,bm->gbn", params.hidden_weight, hidden)
    of_inputs, of_hidden = (
        product + bias[:, None]
        for product, bias in ((of_inputs, params.input_bias), (of_hidden, params.hidden_bias))
    )
    reset, update = jax.nn.sigmoid(of_inputs[:2] + of_hidden[:2])
    candidate = jnp.tanh(of_inputs[2] + reset * of_hidden[2])
    return (1 - update) * candidate + update * hidden


def unroll(params, inputs, initial, lengths, reverse=False):
    """Returns outputs `b t n`, zero past each length, and the final state."""
    count = inputs.shape[1]
    valid = jnp.arange(count) < (count if lengths is None else lengths[:, None])
    valid = jnp.broadcast_to(valid, inputs.shape[:2])[..., None]

    def advance(hidden, here):
        inputs, valid = here
        hidden = jnp.where(valid, step(params, hidden, inputs), hidden)
        return hidden, jnp.where(valid, hidden, 0.0)

    swapped = jax.tree.map(lambda array: jnp.swapaxes(array, 0, 1), (inputs, valid))
    final, outputs = jax.lax.scan(advance, initial, swapped, reverse=reverse)
    return jnp.swapaxes(outputs, 0, 1), final


def both_ways(params, inputs, lengths):
    zeros = jnp.zeros((len(inputs), params[0].hidden_bias.shape[1]), inputs.dtype)
    forward = unroll(params[0], inputs, zeros, lengths)
    backward = unroll(params[1], inputs, zeros, lengths, reverse=True)
    return [jnp.concatenate(pair, axis=-1) for pair in zip(forward, backward, strict=True)]


def affine(params, inputs):
    return inputs @ params.weight.T + params.bias


def cross_entropy(params, batch, input_feeding: bool):
    """Computes the loss of `experiments.pronunciation` over the tokens before each length."""
    encoder, decoder = params
    letters, lengths = batch["letters"], batch["letters_length"]
    values, summary = both_ways(encoder.layers[0], encoder.embedding.weight[letters], lengths)
    embedded = decoder.embedding.weight[batch["before"]]
    mask = jnp.arange(letters.shape[1]) < lengths[:, None]

    def attentional_of(hidden):
        context = jax.vmap(read, (None, 0, 0, 0, 0))(
            decoder.attention, hidden, values, values, mask
        )
        return jnp.tanh(affine(decoder.combine, jnp.concatenate([context, hidden], axis=-1)))

    def advance(state, embedded):
        hidden, attentional = state
        if input_feeding:
            embedded = jnp.concatenate([embedded, attentional], axis=-1)
        hidden = step(decoder.cell, hidden, embedded)
        attentional = attentional_of(hidden[:, None])[:, 0]
        return (hidden, attentional), attentional

    start = jnp.tanh(affine(decoder.start, summary))
    fed = jnp.zeros((len(letters), decoder.combine.bias.shape[0]), start.dtype)
    _, attentional = jax.lax.scan(advance, (start, fed), jnp.swapaxes(embedded, 0, 1))
    scores = jax.nn.log_softmax(affine(decoder.readout, jnp.swapaxes(attentional, 0, 1)))
    targets = jax.nn.one_hot(batch["labels"], scores.shape[-1], dtype=scores.dtype)
    targets = (1 - SMOOTHING) * targets + SMOOTHING / scores.shape[-1]
    kept = jnp.arange(targets.shape[1]) < batch["labels_length"][:, None]
    return -jnp.sum(jnp.where(kept[..., None], targets * scores, 0.0)) / jnp.sum(kept)
