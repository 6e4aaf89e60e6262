"""The printed report of the command, and its results as JSON."""

import json

import jax
import numpy as np

from experiments.article.data import INPUT
from experiments.article.model import ArticleParams
from experiments.article.train import Config, Run


def loss_columns(config: Config) -> list[int]:
    """Returns the steps whose loss is reported: the article's 1,000, when reached, and the last."""
    return sorted({min(1000, config.steps), config.steps})


def seed_table(config: Config, seeds: Run) -> str:
    """Returns a line for each seed and the medians: losses, largest weight, loss on other data.

    The lowest loss distinguishes a seed without an answer from one that found it: at a constant
    rate, Adam leaves a minimum for some steps.
    """
    columns = loss_columns(config)
    losses, unseen = seeds.losses[:, columns], seeds.unseen_loss
    losses = np.column_stack([losses, seeds.losses.min(axis=1)])
    largest = seeds.weights.max(axis=(1, 2))
    heads = [*(f"loss at {column:,}" for column in columns), "lowest loss"]
    lines = ["  ".join(["  seed", *(f"{h:>14}" for h in heads), "largest weight", "unseen loss"])]

    def add_line(name, values, largest, unseen):
        cells = [f"{value:14.1e}" for value in values]
        lines.append("  ".join([f"{name:>6}", *cells, f"{largest:14.3f}", f"{unseen:11.2f}"]))

    for index in range(config.seeds):
        add_line(config.seed + index, losses[index], largest[index], unseen[index])
    add_line("median", np.median(losses, axis=0), np.median(largest), np.median(unseen))
    return "\n".join(lines)


def seed_prints(config: Config, seeds: Run) -> str:
    """Returns output and attention weights of every seed, as the article prints them."""
    blocks = []
    for index in range(config.seeds):
        lines = [f"seed {config.seed + index}"]
        for out, weight in zip(seeds.output[index], seeds.weights[index], strict=True):
            numbers = " ".join(f"{x:8.4f}" for x in out), " ".join(f"{x:7.4f}" for x in weight)
            lines.append(f"  output {numbers[0]}   attention weights {numbers[1]}")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def checks(seeds: Run) -> str:
    """Returns the error of the rows' sums of weights, and the sharpness of the weights."""
    uneven = np.abs(seeds.weights.sum(axis=-1) - 1).max()
    smallest = seeds.weights.max(axis=(1, 2)).min()
    return "\n".join(
        [
            f"median loss: {np.median(seeds.losses[:, -1]):.1e}",
            f"rows of weights sum to one within {uneven:.1e}",
            f"largest weight, in the seed where it is smallest: {smallest:.3f}",
        ]
    )


def stuck_table(config: Config, stuck: Run) -> str:
    """Returns the first and last gradients of the zero start, and its result."""
    lines = [f"{'largest gradient':>18}  {'at step 0':>10}  {f'at step {config.steps:,}':>14}"]
    for name in ArticleParams._fields:
        lines.append(
            f"{name:>18}  {stuck.first_gradients[name]:10.1e}  {stuck.last_gradients[name]:14.1e}"
        )
    attention = max(float(abs(leaf).max()) for leaf in jax.tree.leaves(stuck.params.attention))
    floor = INPUT.var(axis=0).mean()
    exact = bool((stuck.weights == 1 / len(INPUT)).all())
    lines += [
        f"largest entry of W, U and v after {config.steps:,} steps: {attention}",
        f"every weight is exactly 1/3: {'yes' if exact else 'no'}",
        f"loss {float(stuck.losses[-1]):.6f}; three rows alike cannot get below {floor:.6f}",
    ]
    with np.printoptions(precision=4, suppress=True):
        lines.append(f"output\n{stuck.output}")
    return "\n".join(lines)


def results(config: Config, seeds: Run, stuck: Run) -> bytes:
    """Returns everything that is printed, and the loss curves, as JSON."""
    every = max(1, config.steps // 100)
    tree = {
        **{name: getattr(config, name) for name in ("steps", "learning_rate", "hidden_size")},
        "dtype": str(seeds.losses.dtype),
        "jax": jax.__version__,
        "median_loss": float(np.median(seeds.losses[:, -1])),
        "curve_every": every,
        "seeds": [
            {"seed": config.seed + index, **entry(config, run_of(seeds, index), every)}
            for index in range(config.seeds)
        ],
        "zero_start": {"seed": config.seed, **entry(config, stuck, every)},
    }
    return json.dumps(tree, indent=1).encode() + b"\n"


def run_of(seeds: Run, index: int) -> Run:
    """Returns one of several stacked runs."""
    return jax.tree.map(lambda leaf: leaf[index], seeds)


def entry(config: Config, run: Run, every: int) -> dict:
    """Returns a run as a tree for JSON."""
    return {
        "losses": {str(step): float(run.losses[step]) for step in loss_columns(config)},
        "largest_weight": float(run.weights.max()),
        "unseen_loss": float(run.unseen_loss),
        "output": run.output.tolist(),
        "weights": run.weights.tolist(),
        "first_gradients": {name: float(x) for name, x in run.first_gradients.items()},
        "last_gradients": {name: float(x) for name, x in run.last_gradients.items()},
        "curve": run.losses[::every].tolist(),
    }
