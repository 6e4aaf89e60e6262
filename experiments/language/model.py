"""Models of characters: transformers, a GRU, one that attends to its past, linear recurrences.

All have the same form: `logits` of a whole sequence, and `start` and `step` with a cache.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments.language import recurrences
from experiments.language.config import Config
from jattn import engine, masks
from jattn.layers import AffineParams, EmbeddingParams

# At contexts of a few hundred characters one chunk is faster than several.
ATTEND = partial(engine.attend, chunk_size=256)
STACK: dict[str, Any] = {
    "turn": jattn.half_split_rotary,
    "norm": jattn.rms_norm,
    "feed_forward": jattn.gated_feed_forward,
}


class AttentionParams(NamedTuple):
    """Projections of a GRU's states to queries, keys and values, and of their result."""

    query: AffineParams
    key: AffineParams
    value: AffineParams
    output: AffineParams


class Params(NamedTuple):
    """Weights of a model; `body` is of blocks or a GRU, `attention` is that of a GRU."""

    table: EmbeddingParams
    body: Any
    attention: AttentionParams | None
    readout: AffineParams


def is_transformer(kind: str) -> bool:
    return kind in ("transformer", "window")


def is_linear(kind: str) -> bool:
    return kind in recurrences.KINDS


def reach(kind: str, config: Config) -> int:
    """Returns the number of characters that a position attends to, itself included."""
    return min(config.window, config.context) if kind == "window" else config.context


@partial(jax.jit, static_argnums=(1, 2, 3))
def init(rng: Key[Array, ""], kind: str, config: Config, characters: int) -> Params:
    """Draws the weights of a model; all have about as many as the transformer."""
    if is_transformer(kind):
        return _draw(rng, kind, config, characters, config.hidden_size)
    return _draw(rng, kind, config, characters, fitting_units(kind, config, characters))


def fitting_units(kind: str, config: Config, characters: int) -> int:
    """Returns the units that bring a model closest to the transformer's weights.

    They are those of a GRU's state, or of the hidden layers of a linear recurrence's blocks.
    """
    sized = lambda kind, units: count(
        jax.eval_shape(lambda: _draw(jax.random.key(0), kind, config, characters, units))
    )
    wanted = sized("transformer", config.hidden_size)
    low, high = 1, 2
    while sized(kind, high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sized(kind, middle) < wanted else (low, middle)
    return min((low, high), key=lambda units: abs(sized(kind, units) - wanted))


def count(params: Any) -> int:
    """Returns the number of weights."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _draw(rng: Key[Array, ""], kind: str, config: Config, characters: int, units: int) -> Params:
    rngs = jax.random.split(rng, 7)
    table = jattn.init_embedding(rngs[0], words=characters, size=config.size)
    width = config.size if is_transformer(kind) or is_linear(kind) else units
    readout = jattn.init_affine(rngs[1], input_size=width, output_size=characters, bias=False)
    if is_linear(kind):
        return Params(table, recurrences.init(rngs[2], kind, config, units), None, readout)
    if is_transformer(kind):
        stack = jattn.init_transformer_encoder(
            rngs[2],
            layers=config.layers,
            size=config.size,
            heads=config.heads,
            hidden_size=units,
            bias=False,
            init_norm=jattn.init_rms_norm,
            init_feed_forward=jattn.init_gated_feed_forward,
        )
        return Params(table, stack, None, readout)
    gru = jattn.init_gru(rngs[2], input_size=config.size, units=units)
    attention = None
    if kind == "gru-attention":
        inner = lambda rng: jattn.init_affine(
            rng, input_size=units, output_size=config.size, bias=False
        )
        output = jattn.init_affine(rngs[6], input_size=config.size, output_size=units, bias=False)
        attention = AttentionParams(inner(rngs[3]), inner(rngs[4]), inner(rngs[5]), output)
    return Params(table, gru, attention, readout)


def logits(
    params: Params, tokens: Int[Array, " t"], kind: str, config: Config
) -> Float[Array, "t o"]:
    """Returns scores of the character after each one."""
    return attended(params, tokens, kind, config, attend=ATTEND)[0]


def attended(
    params: Params,
    tokens: Int[Array, " t"],
    kind: str,
    config: Config,
    *,
    attend: Any = None,
) -> tuple[Float[Array, "t o"], tuple[Any, ...]]:
    """Returns the scores and, without `attend`, the weights `[h t t]` of each attention layer."""
    rows = jattn.embedding(params.table, tokens)
    far = reach(kind, config)
    mask = masks.causal() if len(tokens) <= far else masks.window(far - 1, 0)
    if is_transformer(kind):
        rows, weights = jattn.transformer_encoder(
            params.body, rows, self_mask=mask, attend=attend, **STACK
        )
        return jattn.affine(params.readout, rows), weights
    if is_linear(kind):
        rows, _ = recurrences.run(
            params.body, rows, recurrences.start(params.body, config), kind, config
        )
        return jattn.affine(params.readout, rows), ()
    states, weights = jattn.gru(params.body, rows).outputs, ()
    if params.attention is not None:
        heads = _to_heads(params, states, config)
        context, looks = ATTEND(*heads, mask=mask, return_weights=attend is None)
        states, weights = states + _from_heads(params, context), (looks,)
    return jattn.affine(params.readout, states), weights


def _to_heads(params: Params, states: Array, config: Config) -> list[Array]:
    assert params.attention is not None
    split = lambda rows: rows.reshape(len(rows), config.heads, -1)
    return [split(jattn.affine(part, states)) for part in params.attention[:3]]


def _from_heads(params: Params, context: Array) -> Array:
    assert params.attention is not None
    return jattn.affine(params.attention.output, context.reshape(len(context), -1))


def loss(
    params: Params, batch: dict[str, Array], _rng: Key[Array, ""], *, kind: str, config: Config
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the mean bits of the characters after each one."""
    scores = jax.vmap(lambda tokens: logits(params, tokens, kind, config))(batch["before"])
    return bits(scores, batch["wanted"]).mean(), {}


def bits(scores: Float[Array, "b t o"], wanted: Int[Array, "b t"]) -> Float[Array, "b t"]:
    """Returns the bits that each character costs."""
    likely = jax.nn.log_softmax(scores)
    taken = jnp.take_along_axis(likely, wanted[..., None], axis=-1)[..., 0]
    return -taken / jnp.log(2.0).astype(taken.dtype)


def start(kind: str, params: Params, config: Config, longest_chunk: int) -> Any:
    """Returns the state before the first character: caches, states, or both."""
    cache = partial(
        jattn.init_rolling_cache,
        window=reach(kind, config),
        longest_chunk=longest_chunk,
        key_value_heads=config.heads,
        key_size=config.size // config.heads,
        dtype=params.table.weight.dtype,
    )
    if is_transformer(kind):
        return tuple(cache() for _ in params.body.blocks)
    if is_linear(kind):
        return recurrences.start(params.body, config)
    hidden = jnp.zeros_like(params.body.hidden_bias[0])
    return hidden, None if params.attention is None else cache()


def step(
    params: Params, state: Any, tokens: Int[Array, " t"], kind: str, config: Config
) -> tuple[Float[Array, "t o"], Any]:
    """Returns the scores after each of the next characters, and the state after them."""
    rows = jattn.embedding(params.table, tokens)
    if is_transformer(kind):
        rows, state = jattn.causal_decode(
            params.body, state, rows, attend=engine.attend_with_cache, **STACK
        )
        return jattn.affine(params.readout, rows), state
    if is_linear(kind):
        rows, state = recurrences.run(params.body, rows, state, kind, config)
        return jattn.affine(params.readout, rows), state
    hidden, cache = state
    states, hidden = jattn.gru(params.body, rows, initial=hidden)
    if cache is not None:
        heads = _to_heads(params, states, config)
        context, cache = engine.attend_with_cache(cache, *heads)
        states = states + _from_heads(params, context)
    return jattn.affine(params.readout, states), (hidden, cache)
