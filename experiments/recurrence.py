"""Attention as a recurrent network, and back: both forms run, step by step and at once.

`python -m experiments.recurrence` compares the outputs of both forms, the size of the state that
each keeps, and the capacity of the states. It trains nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jattn
from experiments import both_themes, command, results
from jattn import alignment, linear, masks
from jattn.plots import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = 32  # Features of queries, keys and values.
LENGTHS = (64, 512, 4096)
PAIRS = (4, 8, 16, 32, 64, 128, 256)
SEEDS = 5
SHARP = 20.0  # Multiplies products of unit vectors, so that softmax tells keys apart.


class Form(NamedTuple):
    """A mechanism as one pass over a sequence, and as steps with a state."""

    whole: Callable[..., Any]
    start: Callable[[int], Any]
    step: Callable[..., tuple[Any, Any]]


def softmax_step(cache, query, key, value):
    one = lambda array: array[None, None]  # One token, one head.
    cache = jattn.extend_cache(cache, one(key), one(value))
    return cache, jattn.attend_to_cache(one(query), cache)[0, 0]


def linear_step(state, query, key, value):
    matrix, key_sum = state
    output = linear.linear_attention(
        query[None], key[None], value[None], initial=matrix, initial_key_sum=key_sum
    )
    return (output.state, output.key_sum), output.outputs[0]


def delta_step(state, query, key, value):
    ones = jnp.ones((1,))
    output = linear.delta_net(query[None], key[None], value[None], ones, initial=state)
    return output.state, output.outputs[0]


FORMS = {
    "softmax attention": Form(
        lambda query, key, value: (
            jattn.scaled_dot_product_attention(query, key, value, mask=masks.causal()).context
        ),
        lambda length: jattn.init_cache(capacity=length, key_value_heads=1, key_size=SIZE),
        softmax_step,
    ),
    "linear attention": Form(
        lambda query, key, value: linear.linear_attention(query, key, value).outputs,
        lambda length: (jnp.zeros((SIZE, SIZE)), jnp.zeros(SIZE)),
        linear_step,
    ),
    "DeltaNet": Form(
        lambda query, key, value: linear.delta_net(query, key, value, jnp.ones(len(key))).outputs,
        lambda length: jnp.zeros((SIZE, SIZE)),
        delta_step,
    ),
}


def step_by_step(form: Form, query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[Any, int]:
    """Returns the outputs [t v], and the numbers that the state holds after the last step."""
    advance = lambda state, inputs: form.step(state, *inputs)
    state, outputs = jax.lax.scan(advance, form.start(len(key)), (query, key, value))
    if isinstance(state, jattn.KeyValueCache):
        return outputs, state.key.size + state.value.size
    return outputs, sum(leaf.size for leaf in jax.tree.leaves(state))


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns vectors of length one in random directions."""
    drawn = rng.standard_normal((count, SIZE)).astype("float32")
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def gated(share: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Returns the states of a gated recurrence: each keeps 1 - share of the one before."""
    state, states = np.zeros(candidates.shape[1]), []
    for part, candidate in zip(share, candidates, strict=True):
        state = (1 - part) * state + part * candidate
        states.append(state)
    return np.array(states)


def gated_as_attention(logits: np.ndarray, candidates: np.ndarray) -> tuple[Any, Any]:
    """Returns the same states as attention over the candidates, and its weights [t s].

    Each step breaks its share off what later steps left, whichever query asks.
    """
    count = len(logits)
    scores = jnp.broadcast_to(logits, (count, count))
    weights = alignment.stick_breaking(scores, mask=masks.causal())
    return weights @ candidates, weights


def recalled(kind: str, keys: Any, *versions: Any) -> float:
    """Returns the share of keys that find their last value, by the nearest of all values.

    Args:
        kind: one of `RECALL`.
        keys: [n k], stored in this order with each of the versions in turn, then asked.
        versions: the values [n v] of all keys, the older ones first.
    """
    stored, values = jnp.tile(keys, (len(versions), 1)), jnp.concatenate(versions)
    if kind == "softmax attention":
        found = jattn.scaled_dot_product_attention(keys, stored, values, scale=SHARP).context
    else:
        # Zeros store nothing, so the questions come after all pairs.
        query = jnp.concatenate([jnp.zeros_like(stored), keys])
        key, value = (jnp.concatenate([array, jnp.zeros_like(keys)]) for array in (stored, values))
        if kind == "DeltaNet":
            outputs = linear.delta_net(query, key, value, jnp.ones(len(key))).outputs
        else:
            outputs = linear.delta_rule(query, key, value).outputs
        found = outputs[len(stored) :]
    nearest = np.argmax(np.asarray(found @ values.T), axis=1)
    return float(np.mean(nearest == np.arange(len(keys)) + len(stored) - len(keys)))


RECALL = ("softmax attention", "DeltaNet", "sum of products")


def compare() -> tuple[results.Table, results.Table]:
    """Compares both forms of each mechanism; returns the tables of outputs and of states."""
    rng = np.random.default_rng(0)
    differences, sizes = [], []
    for name, form in FORMS.items():
        row = []
        for length in LENGTHS:
            query, value = (rng.standard_normal((length, SIZE)).astype("float32") for _ in range(2))
            key = unit(rng, length)
            outputs, size = jax.jit(step_by_step, static_argnums=0)(form, query, key, value)
            whole = form.whole(query, key, value)
            error = jnp.abs(outputs - whole).max() / jnp.abs(whole).max()
            row.append(f"{int(size):,}")
        differences.append([name, f"{float(error):.0e}"])
        sizes.append([name, *row])
    logits = rng.standard_normal(LENGTHS[0])
    candidates = rng.standard_normal((LENGTHS[0], SIZE))
    states = gated(1 / (1 + np.exp(-logits)), candidates)
    attended, _ = gated_as_attention(logits, candidates)
    error = np.abs(np.asarray(attended) - states).max() / np.abs(states).max()
    differences.append(["gated recurrence, as attention", f"{float(error):.0e}"])
    of_outputs = results.Table(
        "Largest difference between the forms",
        ["mechanism", "part of the largest output"],
        differences,
        [f"float32; {LENGTHS[-1]:,} steps, {LENGTHS[0]} of the gated recurrence."],
    )
    of_states = results.Table(
        "Numbers that are kept between steps",
        ["mechanism", *(f"after {length:,} steps" for length in LENGTHS)],
        sizes,
        [f"Queries, keys and values of {SIZE} features."],
    )
    return of_outputs, of_states


def recall(versions: int) -> dict[str, list[float]]:
    """Returns the share of keys that find their last value, by mechanism and number of keys."""

    def share(kind: str, count: int) -> float:
        rngs = [np.random.default_rng(seed) for seed in range(SEEDS)]
        draws = [[unit(rng, count) for _ in range(1 + versions)] for rng in rngs]
        return float(np.mean([recalled(kind, *draw) for draw in draws]))

    return {kind: [share(kind, count) for count in PAIRS] for kind in RECALL}


def table_of_recall(
    title: str, found: dict[str, list[float]], notes: Sequence[str]
) -> results.Table:
    rows = [[kind, *(f"{share:.0%}" for share in shares)] for kind, shares in found.items()]
    return results.Table(title, ["mechanism", *(f"{count} keys" for count in PAIRS)], rows, notes)


def picture(once: dict[str, list[float]], twice: dict[str, list[float]]) -> "Figure":
    """Draws the weights of a gated recurrence as attention, and what each state recalls."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.3), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=(1, 1.3, 1.3))
    rng = np.random.default_rng(1)
    _, weights = gated_as_attention(2 * rng.standard_normal(16), np.eye(16))
    shades = np.broadcast_to((0.12, 0.47, 0.85), (16, 16, 3))
    left.imshow(np.concatenate([shades, np.asarray(weights)[..., None]], -1))
    left.set(xlabel="candidate of step", ylabel="state after step", title="A gated recurrence")
    titles = ("each key stored once", "each key stored twice")
    for ax, title, found in zip(others, titles, (once, twice), strict=True):
        for kind, colour in zip(RECALL, ("#1f77b4", "#d9822b", "#8a56ac"), strict=True):
            ax.plot(PAIRS, [100 * share for share in found[kind]], "o-", color=colour, label=kind)
        ax.set_xscale("log", base=2)
        ax.axvline(SIZE, color=both_themes.GREY, linestyle=":", linewidth=1)
        ax.set(xlabel="keys", ylabel="last values found, %", title=title, ylim=(-4, 104))
        ax.set_xticks(PAIRS, [str(count) for count in PAIRS])
    others[0].legend(frameon=False, loc="lower left")
    both_themes.finish(figure)
    return figure


def run(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    command.make_folder(options.out)
    once, twice = recall(1), recall(2)
    tables = (
        *compare(),
        table_of_recall(
            "Keys that find their value",
            once,
            [
                f"Keys and values are random directions of {SIZE} features. A value is found if it",
                f"is the nearest of all that were stored. Means of {SEEDS} draws.",
            ],
        ),
        table_of_recall(
            "Keys that find their second value, after a first one was stored",
            twice,
            ["The value has to be nearer than all first and second ones."],
        ),
    )
    record = results.record(
        "recurrence", options.typed, seeds=range(SEEDS), began=began, tables=tables
    )
    results.write(options.out / "results.json", record)
    save(picture(once, twice), options.out / "recurrence.png")
    for table in tables:
        print(results.text(table), end="\n\n")
    print(f"{time.perf_counter() - began:.0f} s in all; everything is in {options.out}")


def main(typed: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command.Parser(prog="python -m experiments.recurrence", description=__doc__)
    parser.set_defaults(work=run)
    parser.add_out(Path("runs/recurrence"))
    return command.run(parser, typed)


if __name__ == "__main__":
    sys.exit(main())
