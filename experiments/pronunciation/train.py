"""A run: data, training, errors on the test words, and the files that it writes."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import results, seq2seq
from experiments.command import check_count
from experiments.dictionary import Dictionary, read_dictionary, split
from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import spell, tokens_of
from experiments.pronunciation.errors_table import errors_table
from experiments.pronunciation.evaluation import Pronounced, errors, pronounce
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 4  # Of the words to tune on, evenly through the run.


def run(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    tested: int | None = None,
    command: str = "experiments.pronunciation.train.run",
) -> dict:
    """Trains a model into the folder `out`; returns the record that it writes to results.json.

    Args:
        resume: continue from the checkpoint in `out`.
        tested: number of test words to pronounce, all of them by default.
        command: the command line, for the record.

    Raises:
        ValueError: an option asks for more words than there are or does not fit the model, or a
            file of an earlier run is damaged or of another configuration.
        OSError: a file is missing or cannot be written.
        DataError: the dictionary cannot be had.
    """
    began = time.perf_counter()
    dictionary = read_dictionary()
    words = split(list(dictionary.pronunciations), config.split)
    check_count("tested", tested, len(words["test"]), "test words")
    for part in ("train", "valid"):
        words[part] = [word for word in words[part] if len(word) <= config.longest]
        if not words[part]:
            raise ValueError(f"--longest is {config.longest}: no word in training is that short")
    batches = examples(dictionary, words["train"], config)
    rng = jax.random.key(config.seed, impl="rbg")  # Much faster than the default on a CPU.
    init_rng, train_rng = jax.random.split(rng)
    init = jax.jit(model.init, static_argnums=(1, 2))
    params = init(init_rng, config, len(dictionary.phones))
    out.mkdir(parents=True, exist_ok=True)
    tuned_on = words["valid"][:: max(1, len(words["valid"]) // 1000)]

    def evaluate(params: model.Params) -> dict[str, float]:
        greedy = dataclasses.replace(config, beam_size=1)
        wrong = errors(pronounce(params, tuned_on, dictionary.phones, greedy), dictionary)
        return {"word_error_rate": wrong.words, "phone_error_rate": wrong.phones}

    fitted = training.fit(
        partial(model.loss, config=config),
        seq2seq.optimizer(config),
        params,
        batches,
        steps=config.steps,
        rng=train_rng,
        evaluate=evaluate,
        evaluate_every=max(1, config.steps // EVALUATIONS),
        monitor="word_error_rate",
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=200,
        resume=resume,
        log=out / "log.jsonl",
        config=config,
    )
    trained = time.perf_counter()
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    params = fitted.state.params
    save_weights(out, params, config, dictionary)
    pronounced = pronounce(params, words["test"][:tested], dictionary.phones, config)
    wrong = errors(pronounced, dictionary)
    figures = {
        "config": dataclasses.asdict(config),
        "test": wrong._asdict(),
        "test_longer": errors_of_longer(pronounced, dictionary, config.longest),
        "test_words": len(pronounced),
        "standard_error": training.standard_error(wrong.words, len(pronounced)),
        "weights": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "seconds": {
            "training": round(trained - began, 1),
            "all": round(time.perf_counter() - began, 1),
        },
    }
    record = results.record(
        "pronunciation",
        command,
        seeds=[config.seed],
        began=began,
        tables=[errors_table(figures)],
        more=figures,
    )
    results.write(out / "results.json", record)
    return record


def errors_of_longer(
    pronounced: Sequence[Pronounced], dictionary: Dictionary, longest: int
) -> dict[str, Any] | None:
    """Returns the errors on words longer than those in training, None if there are no such words.

    The other entries are those of the words that are not longer.
    """
    longer = [said for said in pronounced if len(said.word) > longest]
    others = [said for said in pronounced if len(said.word) <= longest]
    if not longer or not others:
        return None
    return {
        "longer": errors(longer, dictionary)._asdict() | {"count": len(longer)},
        "others": errors(others, dictionary)._asdict() | {"count": len(others)},
    }


def examples(dictionary: Dictionary, words: list[str], config: Config) -> training.BucketedBatches:
    """Returns batches of every pronunciation of every word."""
    tokens = tokens_of(dictionary)
    pairs = [
        (spell(word), np.array([tokens[phone] for phone in phones], np.int32))
        for word in words
        for phones in dictionary.pronunciations[word]
    ]
    columns = {"letters": [pair[0] for pair in pairs], "phones": [pair[1] for pair in pairs]}
    return training.bucketed_batches(
        columns, config.batch_size, buckets=config.buckets, seed=config.seed
    )


def save_weights(out: Path, params: model.Params, config: Config, dictionary: Dictionary) -> None:
    """Saves the weights with the configuration and the phones that their tokens mean."""
    metadata = {"config": dataclasses.asdict(config), "phones": list(dictionary.phones)}
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)


def load_weights(out: Path) -> tuple[model.Params, Config, list[str]]:
    """Returns the weights that a run left in `out`, its configuration and its phones.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is damaged or of another experiment.
    """
    path = out / "weights.safetensors"
    config, metadata = load_config(path, Config)
    phones = metadata["phones"]
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), config, len(phones)))
    return training.load_checkpoint(path, like=like).tree, config, phones
