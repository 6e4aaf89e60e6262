"""A run of several models: speeds, trainings, test scores and the record."""

import dataclasses
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax

from experiments import results
from experiments.language import compressors, data, evaluation, model, train
from experiments.language.config import Config
from experiments.language.report import folder, minutes, models_table
from jattn import training

ROUNDS = 5  # Steps of each model that are timed, in turns.


def run(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    command: str = "experiments.language.run.run",
) -> dict[str, Any]:
    """Trains the models into the folder `out`; returns the record written to results.json.

    Each model takes `config.steps` steps, and of several models the faster ones go on for the time
    that the slowest takes.

    Raises:
        ValueError: sizes do not fit each other, the text is too short for a batch, or a file of an
            earlier run is damaged or of another configuration.
        OSError: a file is missing or cannot be written.
        DataError: the text cannot be had.
        KeyboardInterrupt: the run was stopped; its files are saved.
    """
    began = time.perf_counter()
    if config.size % (2 * config.heads):
        raise ValueError(
            f"--size is {config.size}, expected a multiple of {2 * config.heads}: an even number of"
            " features for each of --heads"
        )
    text = data.read()
    measured = planned(text, config, out, resume)
    slowest = max(measured.values())
    figures: dict[str, Any] = {
        "config": dataclasses.asdict(config),
        "seeds": list(range(config.seed, config.seed + config.seeds)),
        "characters": sum(map(len, text.test)),
        "compressors": compressors.compressed(text),
        "models": {},
    }
    for kind in config.models:
        steps = max(config.steps, int(config.steps * slowest / measured[kind]))
        score = partial(
            evaluation.score,
            evaluation.scorer(kind, config),
            texts=text.test,
            alphabet=text.alphabet,
            config=config,
        )
        of: dict[str, Any] = {"steps": steps, "seconds_per_step": measured[kind]}
        of |= {"at_equal_steps": [], "at_the_end": [], "by_place": [], "minutes": []}
        for seed in figures["seeds"]:
            print(f"{kind}, seed {seed}: {steps:,} steps")
            place = folder(out, kind, seed)
            params = train.train(text, kind, seed, config, place, steps=steps, resume=resume)
            last = score(params=params)
            of["weights"] = model.count(params)
            of["at_the_end"].append(last.per_character)
            of["by_place"].append(last.by_place.tolist())
            of["minutes"].append(minutes(place))
            if steps > config.steps:
                last = score(params=train.weights_at(place, config.steps, params))
            of["at_equal_steps"].append(last.per_character)
        figures["models"][kind] = of
    tables = [models_table(figures), compressors.compressors_table(figures["compressors"])]
    record = results.record(
        "language", command, began=began, tables=tables, more=figures, seeds=figures["seeds"]
    )
    results.write(out / "results.json", record)
    return record


def planned(text: data.Text, config: Config, out: Path, resume: bool) -> dict[str, float]:
    """Returns the seconds of a step of each model, which a resumed run reads from its folder.

    Raises:
        FileNotFoundError: there is no run to resume.
        ValueError: the file is damaged, or of other models.
    """
    path = out / "seconds.json"
    if resume:
        try:
            measured = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: is no JSON: {error}") from None
        if isinstance(measured, dict) and set(config.models) <= set(measured):
            return measured
        raise ValueError(f"{path}: has no seconds of {' '.join(config.models)}")
    measured = seconds_per_step(text, config)
    out.mkdir(parents=True, exist_ok=True)
    results.write(path, measured)
    return measured


def seconds_per_step(text: data.Text, config: Config) -> dict[str, float]:
    """Returns the median seconds of a training step of each model, timed in turns."""
    batch = data.batches(
        text.train,
        text.alphabet,
        context=config.context,
        batch_size=config.batch_size,
        seed=config.seed,
    )(0)
    steps, states = {}, {}
    for kind in config.models:
        optimizer = train.optimizer(config)
        loss = partial(model.loss, kind=kind, config=config)
        rng = jax.random.key(config.seed)
        params = model.init(rng, kind, config, len(text.alphabet))
        steps[kind] = training.make_train_step(loss, optimizer)
        states[kind] = training.init_train_state(params, optimizer, rng)
        states[kind], _ = jax.block_until_ready(steps[kind](states[kind], batch))  # Compiles.
    seconds: dict[str, list[float]] = {kind: [] for kind in config.models}
    for _ in range(ROUNDS):
        for kind in config.models:
            began = time.perf_counter()
            states[kind], _ = jax.block_until_ready(steps[kind](states[kind], batch))
            seconds[kind].append(time.perf_counter() - began)
    return {kind: statistics.median(times) for kind, times in seconds.items()}
