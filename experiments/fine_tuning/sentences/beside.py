"""LoRA's products computed beside the weights instead of merged into them, as a check."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import jattn
from experiments.fine_tuning.sentences import encoder
from experiments.fine_tuning.sentences.config import Config
from experiments.fine_tuning.sentences.methods import Parts


def merged_differs(config: Config, parts: Parts, trained: Any, tokens: Any, lengths: Any) -> float:
    """Returns the largest difference of any entry of any embedding, merged and not merged."""
    scale = config.alpha / config.rank
    layers = tuple(
        layer._replace(
            **{
                name: (getattr(layer, name), getattr(low_rank, name), scale)
                for name in ("attention", "widen", "narrow")
            }
        )
        for layer, low_rank in zip(parts.frozen.layers, trained["encoder"].layers, strict=True)
    )
    words = parts.frozen.words, trained["encoder"].words, scale
    apart = parts.frozen._replace(layers=layers, words=words)
    merged = parts.together(trained, parts.frozen).encoder

    def embed(params, **functions):
        encode = partial(encoder.encode, params, **functions)
        return encoder.normalize(jax.vmap(encode)(tokens, lengths))

    difference = jax.jit(embed)(merged) - jax.jit(
        partial(embed, attend=attend_beside, linear=linear_beside, embedding=embedding_beside)
    )(apart)
    return float(jnp.abs(difference).max())


def embedding_beside(params: Any, tokens: Any) -> Any:
    """Looks up rows; `params` are the weights, their `LowRank` or none, and the scale."""
    weights, low_rank, scale = params
    rows = jattn.embedding(weights, tokens)
    if low_rank.weight is None:
        return rows
    up, down = low_rank.weight
    return rows + scale * up[tokens] @ down


def linear_beside(params: Any, states: Any) -> Any:
    """Applies a linear layer; `params` are the weights, their `LowRank` or none, and the scale."""
    weights, low_rank, scale = params
    outputs = jattn.affine(weights, states)
    if low_rank.weight is None:
        return outputs
    up, down = low_rank.weight
    return outputs + scale * (states @ down.T) @ up.T


def attend_beside(params: Any, states: Any, mask: Any) -> Any:
    """Computes self-attention; `params` are the weights, their `LowRank` and the scale.

    The inputs' products with `down` are appended to them as features, and `up` to the weights. The
    output's low-rank product comes last.
    """
    weights, low_rank, scale = params
    inputs, wider = [], weights
    for name in ("query_weight", "key_weight", "value_weight"):
        up, down = getattr(low_rank, name)
        inputs.append(jnp.concatenate([states, states @ down.T], axis=-1))
        weight = jnp.concatenate([getattr(weights, name), scale * up], axis=-1)
        wider = wider._replace(**{name: weight})
    up, down = low_rank.output_weight
    wider = wider._replace(
        output_weight=jnp.concatenate([weights.output_weight, down]),
        output_bias=jnp.pad(weights.output_bias, (0, len(down))),
    )
    joined = jattn.multi_head_attention(wider, *inputs, mask=mask).context
    return joined[:, : -len(down)] + scale * joined[:, -len(down) :] @ up.T
