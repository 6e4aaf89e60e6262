"""The tables of runs: accuracies with the numbers of trained weights, and cosines."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.fine_tuning.sentences import original, scores
from experiments.fine_tuning.sentences.config import METHODS, Config
from experiments.fine_tuning.sentences.embeddings import pooled
from experiments.fine_tuning.sentences.encoder import normalize
from experiments.fine_tuning.sentences.methods import LORA_AXES
from experiments.fine_tuning.sentences.pretrained import encoder_params, read_pretrained
from experiments.results import Table

COLUMNS = ("method", "right", "trained", "of all", "seconds", "rate", "validation")


def accuracies(runs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns a row for each method, and baselines without an encoder below."""
    first = next(iter(runs.values()))
    right = lambda share, error: f"{share:.1%} ± {error:.1%}"
    rows: list[tuple[str, ...]] = [
        (
            name,
            right(run["accuracy"]["test"], run["standard_error"]),
            f"{run['trained']:,}",
            f"{run['trained'] / run['weights']:.2%}",
            seconds(run),
            f"{run['config']['rate'] or METHODS[name][1]:.0e}" if name != "frozen" else "-",
            f"{run['accuracy']['valid']:.1%}",
        )
        for name, run in runs.items()
    ]
    words = right(first["words_alone"], first["words_alone_standard_error"])
    rows.append(("naive Bayes over word pieces", words, *"-----"))
    rows.append(("the largest group", f"{first['largest_group']:.1%}", *"-----"))
    counts = first["texts"]
    text, whole = first["text"], first["whole"]
    low_rank = [name for name in LORA_AXES if name in runs]
    notes = [
        (
            f"{counts['train']:,} {text} to train on, {counts['test']:,} to test on, of other"
            f" {whole}; ± is a standard error over {whole}, seconds are of one core in training."
        ),
        *(difference(runs, name, "full") for name in low_rank if "full" in runs),
        *(difference(runs, name, "last") for name in low_rank if "last" in runs),
    ]
    notes += [
        f"{name}, merged and not merged: the largest difference of an embedding's entry is"
        f" {runs[name]['merged_differs']:.1e}."
        for name in low_rank
    ]
    return Table(first["question"], COLUMNS, rows, notes)


def seconds(run: Mapping[str, Any]) -> str:
    """Formats the seconds of all steps and of embeddings computed once, without compilation."""
    step = run["seconds"]["step"]
    return "-" if step is None else f"{run['seconds']['batches'] + step * run['steps']:.0f}"


def difference(runs: Mapping[str, Mapping[str, Any]], method: str, base: str) -> str:
    """States the difference of two methods on the same texts, with its standard error."""
    right, right_of_base = (np.asarray(runs[n]["test_right"], float) for n in (method, base))
    gain = right - right_of_base
    error = scores.standard_error(gain, runs[method]["test_wholes"])
    return f"{method} less {base}: {100 * gain.mean():+.1f} ± {100 * error:.1f} points."


def fidelity(config: Config, texts: Any) -> Table:
    """Returns the cosines of embeddings with the original's on these texts, as 1 - lowest."""
    pretrained = read_pretrained(config.length)
    encoder = encoder_params(pretrained)
    ours = np.asarray(normalize(jnp.asarray(pooled(encoder, texts, config))))
    weights, heads = pretrained.weights, pretrained.heads
    by_hand = np.array([original.embed(weights, tokens, heads) for tokens in texts.tokens])
    rows = [row("BERT's equations in NumPy, float64", ours, by_hand)]
    try:
        theirs = original.embed_with_transformers(weights, texts.tokens, heads)
        rows.append(row("transformers' BertModel, float32", ours, theirs))
    except ImportError as error:
        rows.append(("transformers' BertModel", f"not compared: {error}", "-"))
    title = f"Embeddings of {len(ours)} texts against the original's weights run elsewhere"
    return Table(title, ("run by", "1 - lowest cosine", "largest difference"), rows)


def row(name: str, ours: np.ndarray, theirs: np.ndarray) -> tuple[str, str, str]:
    exact = ours.astype(np.float64)
    exact = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    other = theirs / np.linalg.norm(theirs.astype(np.float64), axis=1, keepdims=True)
    cosines = (exact * other).sum(1)
    return name, f"{1 - cosines.min():.0e}", f"{np.abs(ours - theirs).max():.1e}"
