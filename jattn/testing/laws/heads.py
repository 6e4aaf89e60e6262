"""Laws of multi-head attention and its variants."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from jattn import masks
from jattn.testing.laws.law import KEY, QUERY, RNG, VALUE, K, S, T, V, law

HEADS = jattn.init_multi_head(
    jax.random.key(0), heads=2, query_size=K, value_size=V, head_size=4, bias=True
)


@law
def a_gate_of_zero_weights_halves_each_head():
    """gated_attention: a gate without weights is one half, for every feature of a head."""
    gated = jattn.GatedParams(HEADS, jnp.zeros((2, 4, K)))
    halved = HEADS._replace(output_weight=HEADS.output_weight / 2)
    yield (
        jattn.gated_attention(gated, QUERY, KEY, VALUE).context,
        jattn.multi_head_attention(halved, QUERY, KEY, VALUE).context,
    )


@law
def a_headwise_gate_is_the_same_gate_for_all_features():
    """gated_attention: a headwise gate is an elementwise one with equal rows."""
    headwise = jnp.asarray(RNG.standard_normal((2, K)))
    elementwise = jnp.repeat(headwise[:, None], 4, axis=1)
    one, other = (jattn.GatedParams(HEADS, gate) for gate in (headwise, elementwise))
    yield (
        jattn.gated_attention(one, QUERY, KEY, VALUE).context,
        jattn.gated_attention(other, QUERY, KEY, VALUE).context,
    )


@law
def normalized_scores_ignore_the_size_of_projections():
    """query_key_norm_attention: queries and keys of any length give the same weights."""
    heads = HEADS._replace(query_bias=None, key_bias=None)
    larger = heads._replace(query_weight=3.0 * heads.query_weight)
    one, other = (jattn.QueryKeyNormParams(x, jnp.asarray(2.5)) for x in (heads, larger))
    yield (
        jattn.query_key_norm_attention(one, QUERY, KEY, VALUE).weights,
        jattn.query_key_norm_attention(other, QUERY, 7.0 * KEY, VALUE).weights,
    )


@law
def the_papers_strength():
    """init_query_key_norm: the strength of sequences of 64 tokens is log2(64² - 64)."""
    sizes: Any = {"heads": 2, "query_size": 4, "length": 64}
    yield jattn.init_query_key_norm(jax.random.key(0), **sizes).strength, np.log2(4032)


@law
def clipping_multiplies_the_scores_of_a_head():
    """clip_query_key: each head's scores are multiplied by the threshold over its largest."""
    params = jattn.init_multi_head(jax.random.key(0), heads=4, query_size=K, key_value_heads=2)
    clipped = jattn.clip_query_key(params, jnp.asarray([0.1, 8.0, 5.0, 4.0]), threshold=2.0)
    scores = lambda params, h: (
        (QUERY @ params.query_weight[h].T) @ (KEY @ params.key_weight[h // 2].T).T
    )
    for head, ratio in enumerate((1.0, 0.25, 0.4, 0.5)):
        yield scores(clipped, head), ratio * scores(params, head)


@law
def clipping_below_the_threshold_changes_nothing():
    """clip_query_key: heads whose largest scores are below the threshold stay as they are."""
    clipped = jattn.clip_query_key(HEADS, jnp.asarray([3.0, 99.0]))
    yield clipped.query_weight, HEADS.query_weight
    yield clipped.key_weight, HEADS.key_weight


@law
def a_value_residual_without_a_share_is_multi_head_attention():
    """value_residual_attention: with shares 0 and 1 it is multi-head attention."""
    params = jattn.ValueResidualParams(HEADS, jnp.asarray([0.0, 1.0]))
    first: Any = RNG.standard_normal((S, 2, 4))
    yield (
        jattn.value_residual_attention(params, QUERY, KEY, VALUE, first).context,
        jattn.multi_head_attention(HEADS, QUERY, KEY, VALUE).context,
    )


@law
def equal_values_have_no_residual():
    """value_residual_attention: halves of the layer's own values are those values."""
    params = jattn.ValueResidualParams(HEADS, jnp.asarray([0.5, 0.5]))
    own = jattn.value_heads(HEADS, VALUE)
    yield (
        jattn.value_residual_attention(params, QUERY, KEY, VALUE, own).context,
        jattn.multi_head_attention(HEADS, QUERY, KEY, VALUE).context,
    )


@law
def heads_that_do_not_talk_are_multi_head_attention():
    """talking_heads_attention: with identities as its maps it is multi-head attention."""
    plain = jattn.MultiHeadParams(*HEADS[:4])
    talking = jattn.TalkingHeadsParams(*HEADS[:4], jnp.eye(2), jnp.eye(2))
    yield (
        jattn.talking_heads_attention(talking, QUERY, KEY, VALUE).context,
        jattn.multi_head_attention(plain, QUERY, KEY, VALUE).context,
    )


def differential(**fields: Any) -> jattn.DifferentialParams:
    sizes: Any = {"heads": 2, "query_size": K, "head_size": 4}
    params = jattn.init_differential(jax.random.key(0), **sizes)
    return params._replace(**fields)


@law
def equal_maps_cancel():
    """differential_attention: two equal maps with a balance of one leave nothing."""
    params = differential()
    twice = {
        name: jnp.stack([getattr(params, name)[0]] * 2)
        for name in ("query_weight", "key_weight", "query_balance", "key_balance")
    }
    output = jattn.differential_attention(params._replace(**twice), QUERY, KEY, KEY, initial=1.0)
    yield output.context, np.zeros((T, K))
    yield output.weights, np.zeros((2, T, S))


@law
def the_papers_initial_balances():
    """initial_balance: 0.2 in the first layer, 0.355509 in the second, and 0.8 in the limit."""
    yield jattn.initial_balance(1), 0.2
    yield np.round(jattn.initial_balance(2), 6), 0.355509
    yield jattn.initial_balance(1000), 0.8


@law
def equal_balances_subtract_the_initial_one():
    """differential_attention: with equal vectors of balance a row sums to 1 - initial."""
    balance = jnp.ones((2, 4))
    params = differential(query_balance=balance, key_balance=balance)
    weights: Any = jattn.differential_attention(params, QUERY, KEY, KEY, initial=0.3).weights
    yield weights.sum(2), np.full((2, T), 0.7)


LATENT = jattn.init_latent(
    jax.random.key(0),
    heads=3,
    size=K,
    head_size=5,
    rotary_size=2,
    query_latent_size=6,
    key_latent_size=3,
)


@law
def absorbed_is_expanded():
    """absorbed_latent_attention: from the cached latents it gives what latent_attention gives."""
    options = {"turn": jattn.rotary, "mask": masks.causal(S - T), "query_offset": S - T}
    memory = jattn.latent_memory(LATENT, KEY, turn=jattn.rotary)
    absorbed = jattn.absorbed_latent_attention(LATENT, QUERY, *memory, **options)
    expanded = jattn.latent_attention(LATENT, QUERY, KEY, **options)
    yield absorbed.context, expanded.context
    yield absorbed.weights, expanded.weights


@law
def clipped_latents_have_scores_at_the_threshold():
    """clip_latent_query_key: with the largest scores it makes these the threshold."""
    dot = lambda params: jnp.stack(
        [
            QUERY
            @ params.query_down.T
            @ params.query_up[h].T
            @ (KEY @ params.key_down.T @ params.key_up[h].T).T
            + QUERY @ params.query_down.T @ params.query_rotary[h].T @ (KEY @ params.key_rotary.T).T
            for h in range(3)
        ]
    )
    largest = dot(LATENT).max((1, 2))
    clipped = jattn.clip_latent_query_key(LATENT, largest, threshold=0.01)
    yield dot(clipped).max((1, 2)), np.full(3, 0.01)


@law
def latents_without_a_rotary_part_are_multi_head_attention():
    """latent_attention: without a rotary part it is multi-head attention to the latents."""
    fields = {"query_rotary": jnp.zeros((3, 0, 6)), "key_rotary": jnp.zeros((0, K))}
    params = LATENT._replace(**fields)
    heads = jattn.MultiHeadParams(
        LATENT.query_up, LATENT.key_up, LATENT.value_up, LATENT.output_weight
    )
    latent = KEY @ params.key_down.T
    query_latent = QUERY @ params.query_down.T
    yield (
        jattn.latent_attention(params, QUERY, KEY).context,
        jattn.multi_head_attention(heads, query_latent, latent, latent).context,
    )
