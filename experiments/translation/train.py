"""One run: data, training, and the files from which everything else is made."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments.schedule import warmup_cosine
from experiments.sentence_pairs import Parts
from experiments.translation import corpora, data, evaluation, model, pieces
from experiments.translation.config import Config
from experiments.translation.pieces import Pieces
from experiments.translation.start import begun
from jattn import training

EVALUATIONS = 6  # On the pairs to choose by, evenly through the run.


class Trained(NamedTuple):
    """What a run leaves: weights, pieces, configuration, pairs, and the run it began from."""

    params: Any
    pieces: Pieces
    config: Config
    parts: Parts
    start_from: str | None = None


def run(
    config: Config, out: Path, *, resume: bool = False, start_from: Path | None = None
) -> Trained:
    """Trains a model into the folder `out`.

    Args:
        resume: continue from the checkpoint in `out`.
        start_from: the folder of a run whose weights and pieces to begin with.

    Raises:
        FileNotFoundError, ValueError: a file of an earlier run is missing, damaged or does not fit.
        ValueError: the corpus has nothing for an option, or attention would learn the tested links.
    """
    corpora.check(config)
    out.mkdir(parents=True, exist_ok=True)
    parts = corpora.CORPORA[config.corpus].read(config)
    if start_from is not None:
        learned = pieces.load(start_from)
    elif resume:
        learned = pieces.load(out)
    else:
        learned = pieces.train(
            parts.train, source=config.source_pieces, target=config.target_pieces
        )
    pieces.save(out, learned)
    rng = jax.random.key(config.seed, impl="rbg")  # Much faster than the default on a CPU.
    init_rng, train_rng = jax.random.split(rng)
    params = begin(init_rng, config, learned)
    if start_from is not None:
        before, earlier, _ = load_weights(start_from)
        params = begun(params, config, before, earlier)
    valid = data.encode(parts.valid, learned)
    fitted = training.fit(
        partial(model.loss, config=config),
        optimizer(config),
        params,
        data.batches(data.encode(parts.train, learned), config),
        steps=config.steps,
        rng=train_rng,
        evaluate=lambda params: evaluation.progress(params, valid, config),
        evaluate_every=max(1, config.steps // EVALUATIONS),
        checkpoint=out / "checkpoint.safetensors",
        checkpoint_every=100,
        resume=resume,
        log=out / "log.jsonl",
        config=config,
    )
    if fitted.reason == "interrupted":
        raise KeyboardInterrupt
    origin = str(start_from) if start_from else None
    metadata = {"config": dataclasses.asdict(config), "start_from": origin}
    params = fitted.state.params
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)
    return Trained(params, learned, config, parts, origin)


def begin(rng: jax.Array, config: Config, learned: Pieces) -> Any:
    """Draws the weights of a model of these pieces."""
    sizes = [pieces.processor(one).get_piece_size() for one in learned]
    return jax.jit(model.init, static_argnums=(1, 2, 3))(rng, config, *sizes)


def optimizer(config: Config) -> optax.GradientTransformation:
    schedule = warmup_cosine(config.learning_rate, config.warmup, config.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule, b2=0.98))


def load_weights(out: Path) -> tuple[Any, Config, str | None]:
    """The weights that a run left in `out`, its configuration, and the run that it began from.

    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged.
    """
    path = out / "weights.safetensors"
    metadata = training.load_checkpoint(path).metadata
    config = Config(**metadata["config"])
    like = jax.eval_shape(lambda: begin(jax.random.key(0), config, pieces.load(out)))
    return training.load_checkpoint(path, like=like).tree, config, metadata.get("start_from")


def load(out: Path) -> Trained:
    """A finished run, read from its folder."""
    params, config, origin = load_weights(out)
    parts = corpora.CORPORA[config.corpus].read(config)
    return Trained(params, pieces.load(out), config, parts, origin)


def weights(params: Any) -> int:
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params))
