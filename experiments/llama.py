"""Speed of a Llama-like model on jattn and of the same model in jax.nn and jax.numpy.

Both have the same weights and give the same logits: decoding a token at a time from a cache, and
training steps. Times are medians of repeats in turns.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments import command
from experiments.machine import machine
from jattn import engine, masks


class Sizes(NamedTuple):
    layers: int = 4
    size: int = 512
    heads: int = 8
    key_value_heads: int = 2
    hidden_size: int = 1376
    words: int = 2048


SMALL = Sizes(2, 16, 4, 2, 24, 11)
LAYERS: dict[str, Any] = {
    "turn": jattn.half_split_rotary,
    "norm": partial(jattn.rms_norm, epsilon=1e-5),
    "feed_forward": jattn.gated_feed_forward,
}


def init(sizes: Sizes) -> dict[str, Any]:
    inits = {"init_norm": jattn.init_rms_norm, "init_feed_forward": jattn.init_gated_feed_forward}
    *of_stack, words = sizes._asdict().items()
    stack, size = dict(of_stack), sizes.size
    return {
        "table": jattn.init_embedding(jax.random.key(0), words=words[1], size=size),
        "stack": jattn.init_transformer_encoder(jax.random.key(1), **stack, bias=False, **inits),
        "readout": jattn.init_linear(
            jax.random.key(2), input_size=size, output_size=words[1], bias=False
        ),
    }


def jattn_logits(model: Any, tokens: jax.Array) -> jax.Array:
    def of_sequence(tokens):
        rows = jattn.embedding(model["table"], tokens)
        options = {"self_mask": masks.causal(), "attend": engine.attend, **LAYERS}
        rows = jattn.transformer_encoder(model["stack"], rows, **options).outputs
        return jattn.linear(model["readout"], rows)

    return jax.vmap(of_sequence)(tokens)


def jattn_step(model: Any, caches: Any, tokens: jax.Array) -> tuple[jax.Array, Any]:
    rows = jattn.embedding(model["table"], tokens)[:, None]
    attend = engine.attend_with_cache
    rows, caches = jattn.causal_decode(model["stack"], caches, rows, attend=attend, **LAYERS)
    return jattn.linear(model["readout"], rows[:, 0]), caches


def jattn_caches(sizes: Sizes, filled: Any, capacity: int) -> Any:
    g, e = sizes.key_value_heads, sizes.size // sizes.heads
    empty = jattn.init_cache(1, capacity=capacity, key_value_heads=g, key_size=e)
    return tuple(jattn.extend_cache(empty, *pair) for pair in filled)


def norm(params: Any, rows: jax.Array) -> jax.Array:
    return rows * jax.lax.rsqrt((rows**2).mean(-1, keepdims=True) + 1e-5) * params.scale


def rotary(heads: jax.Array, positions: jax.Array) -> jax.Array:
    half = heads.shape[-1] // 2
    angles = positions[:, None] * 10000.0 ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    left, right = heads[..., :half], heads[..., half:]
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin], -1)


def plain_stack(model: Any, tokens: jax.Array, positions: jax.Array, attend: Any) -> jax.Array:
    rows = model["table"].weight[tokens]
    for index, block in enumerate(model["stack"].blocks):
        heads, network = block.attention, block.feed_forward
        normed = norm(block.attention_norm, rows)
        q, k, v = (jnp.einsum("btd,hed->bthe", normed, weight) for weight in heads[:3])
        context = attend(index, rotary(q, positions), rotary(k, positions), v)
        rows = rows + jnp.einsum("bthe,dhe->btd", context, heads.output_weight)
        normed = norm(block.feed_forward_norm, rows)
        gate = jax.nn.silu(normed @ network.gate_weight.T) * (normed @ network.hidden_weight.T)
        rows = rows + gate @ network.output_weight.T
    return norm(model["stack"].norm, rows) @ model["readout"].weight.T


def plain_logits(model: Any, tokens: jax.Array) -> jax.Array:
    causal = partial(jax.nn.dot_product_attention, is_causal=True)
    attend = lambda index, q, k, v: causal(q, k, v)
    return plain_stack(model, tokens, jnp.arange(tokens.shape[1]), attend)


def plain_step(model: Any, caches: Any, tokens: jax.Array) -> tuple[jax.Array, Any]:
    pairs, length = caches
    after = list(pairs)

    def attend(index, q, *new):
        store = partial(jax.lax.dynamic_update_slice_in_dim, start_index=length, axis=1)
        after[index] = tuple(store(x, y) for x, y in zip(pairs[index], new, strict=True))
        past = jnp.arange(after[index][0].shape[1]) <= length
        return jax.nn.dot_product_attention(q, *after[index], mask=past[None, None, None])

    logits = plain_stack(model, tokens[:, None], length[None], attend)
    return logits[:, 0], (tuple(after), length + 1)


def plain_caches(sizes: Sizes, filled: Any, capacity: int) -> Any:
    longer = lambda x: jnp.pad(x, ((0, 0), (0, capacity - x.shape[1]), (0, 0), (0, 0)))
    length = jnp.asarray(filled[0][0].shape[1], jnp.int32)
    return tuple(tuple(map(longer, pair)) for pair in filled), length


WAYS: dict[str, tuple[Callable[..., Any], ...]] = {
    "jattn": (jattn_logits, jattn_step, jattn_caches),
    "jax.nn": (plain_logits, plain_step, plain_caches),
}


def decoding(way: str, model: Any, sizes: Sizes, capacity: int, first: int, count: int) -> Any:
    """Returns a function that decodes tokens after `first`, and returns seconds and last logits."""
    _, step, caches_of = WAYS[way]
    compiled = jax.jit(step, donate_argnums=1)
    shape = (2, sizes.layers, 1, first, sizes.key_value_heads, sizes.size // sizes.heads)
    stored = np.random.default_rng(0).standard_normal(shape).astype("float32")

    def run() -> tuple[float, jax.Array]:
        caches = caches_of(sizes, list(zip(*stored, strict=True)), capacity)
        caches, logits = jax.block_until_ready(jax.tree.map(jnp.copy, caches)), None
        start, token = time.perf_counter(), jnp.zeros(1, int)
        for _ in range(count):
            logits, caches = compiled(model, caches, token)
            token = logits.argmax(-1)
        logits = jax.block_until_ready(logits)
        return time.perf_counter() - start, logits

    return run


def training(way: str, model: Any, sizes: Sizes, batch: int, t: int) -> Any:
    """Returns a function that takes a step of gradient descent, and returns seconds and the loss."""
    tokens = jnp.asarray(np.random.default_rng(0).integers(sizes.words, size=(batch, t + 1)))

    @jax.jit
    def step(model):
        def loss(model):
            logits = jax.nn.log_softmax(WAYS[way][0](model, tokens[:, :-1]))
            return -jnp.take_along_axis(logits, tokens[:, 1:, None], -1).mean()

        value, gradient = jax.value_and_grad(loss)(model)
        return value, jax.tree.map(lambda x, slope: x - 1e-2 * slope, model, gradient)

    def run() -> tuple[float, jax.Array]:
        start = time.perf_counter()
        value, _ = jax.block_until_ready(step(model))
        return time.perf_counter() - start, value

    return run


def row(name: str, count: int, make: Callable[[str], Any], repeats: int) -> str:
    """Returns a row of the table: tokens a second of each way, and their ratio."""
    runs = {way: make(way) for way in WAYS}
    ours, other = (run()[1] for run in runs.values())  # Compiles.
    if not np.abs(ours - other).max() < 1e-3 * max(1.0, np.abs(other).max()):
        raise ValueError(f"{name}: results differ by {np.abs(ours - other).max()}")
    times = [[run()[0] for run in runs.values()] for _ in range(repeats)]
    speeds = [count / statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(other / ours for ours, other in times)
    return f"| {name} | {speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratio:.2f} |"


def measure(options: argparse.Namespace) -> int:
    """Prints the table."""
    sizes, repeats = SMALL if options.small else Sizes(), options.repeats
    model, count = init(sizes), 4 if options.small else 32
    kind = machine()
    print(f"JAX {jax.__version__}, {kind['cores']} cores, {kind['vectors']}; {sizes}\n")
    print(f"| tokens a second | {' | '.join(WAYS)} | ratio |\n|---|---|---|---|")
    for capacity in (16, 32) if options.small else (1024, 4096):
        for first in (0, capacity // 2, capacity - count):
            name = f"decoding, {first} tokens in {capacity:,} slots"
            sized = partial(
                decoding, model=model, sizes=sizes, capacity=capacity, first=first, count=count
            )
            print(row(name, count, sized, repeats), flush=True)
    for batch, t in ((2, 8),) if options.small else ((4, 256), (1, 1024)):
        sized = partial(training, model=model, sizes=sizes, batch=batch, t=t)
        print(row(f"training, {batch} × {t:,}", batch * t, sized, repeats), flush=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.llama", description=__doc__)
    parser.set_defaults(work=measure)
    parser.add_argument(
        "--repeats", type=command.whole(), default=7, metavar="N", help="of each, in turns (7)"
    )
    parser.add_argument("--small", action="store_true", help="a model that runs in seconds")
    return command.run(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
