"""One run: data, training, errors on the test words, and the files it leaves."""

import dataclasses
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax

from experiments import results
from experiments.dictionary import Dictionary, read_dictionary, split
from experiments.pronunciation import model
from experiments.pronunciation.config import Config
from experiments.pronunciation.data import spell, tokens_of
from experiments.pronunciation.errors_table import errors_table
from experiments.pronunciation.evaluation import errors, pronounce
from experiments.schedule import warmup_cosine
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
    """Trains a model into the folder `out`; returns what it writes to results.json.

    Args:
        resume: continue from the checkpoint in `out`.
        tested: number of test words to pronounce, all of them by default.
        command: what was typed.
    """
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    dictionary = read_dictionary()
    words = split(list(dictionary.pronunciations), config.split)
    batches = examples(dictionary, words["train"], config)
    rng = jax.random.key(config.seed, impl="rbg")  # Much faster than the default on a CPU.
    init_rng, train_rng = jax.random.split(rng)
    init = jax.jit(model.init, static_argnums=(1, 2))
    params = init(init_rng, config, len(dictionary.phones))
    tuned_on = words["valid"][:: max(1, len(words["valid"]) // 1000)]

    def evaluate(params: model.Params) -> dict[str, float]:
        greedy = dataclasses.replace(config, beam_size=1)
        wrong = errors(pronounce(params, tuned_on, dictionary.phones, greedy), dictionary)
        return {"word_error_rate": wrong.words, "phone_error_rate": wrong.phones}

    fitted = training.fit(
        partial(model.loss, config=config),
        optimizer(config),
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
        "test_words": len(pronounced),
        "standard_error": training.standard_error(wrong.words, len(pronounced)),
        "weights": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "seconds": {
            "training": round(trained - began, 1),
            "all": round(time.perf_counter() - began, 1),
        },
    }
    found = results.record(
        "pronunciation",
        command,
        seeds=[config.seed],
        began=began,
        tables=[errors_table(figures)],
        more=figures,
    )
    results.write(out / "results.json", found)
    return found


def examples(dictionary: Dictionary, words: list[str], config: Config) -> training.BucketedBatches:
    """Batches of every pronunciation of every word."""
    tokens = tokens_of(dictionary)
    pairs = [
        (spell(word), np.array([tokens[phone] for phone in phones], np.int32))
        for word in words
        for phones in dictionary.pronunciations[word]
    ]
    columns = {"letters": [p[0] for p in pairs], "phones": [p[1] for p in pairs]}
    return training.bucketed_batches(
        columns, config.batch_size, buckets=config.buckets, seed=config.seed
    )


def optimizer(config: Config) -> optax.GradientTransformation:
    schedule = warmup_cosine(config.learning_rate, config.warmup, config.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule, b2=0.98))


def save_weights(out: Path, params: model.Params, config: Config, dictionary: Dictionary) -> None:
    metadata = {"config": dataclasses.asdict(config), "phones": list(dictionary.phones)}
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)


def load_weights(out: Path) -> tuple[model.Params, Config, list[str]]:
    """The weights that a run left in `out`, with its configuration and its phones.

    Raises:
        FileNotFoundError, ValueError: the file is missing or damaged.
    """
    path = out / "weights.safetensors"
    metadata = training.load_checkpoint(path).metadata
    config, phones = Config(**metadata["config"]), metadata["phones"]
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), config, len(phones)))
    return training.load_checkpoint(path, like=like).tree, config, phones
