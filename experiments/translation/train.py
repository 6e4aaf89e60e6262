"""A run: data, training, and the files from which everything else is made."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments import seq2seq
from experiments.command import check_count
from experiments.sentence_pairs import Parts
from experiments.translation import corpora, data, evaluation, model, pieces
from experiments.translation.config import Config
from experiments.translation.pieces import Pieces
from experiments.translation.start import begun
from experiments.weights import load_config
from jattn import training

EVALUATIONS = 6  # On the pairs to choose by, evenly through the run.


class Trained(NamedTuple):
    """The outcome of a run: weights, pieces, configuration, pairs, and the run it began from."""

    params: Any
    pieces: Pieces
    config: Config
    parts: Parts
    start_from: str | None = None


def run(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    tested: int | None = None,
) -> Trained:
    """Trains a model into the folder `out`. Nothing is written before all options are checked.

    Args:
        resume: continue from the checkpoint in `out`.
        start_from: the folder of a run whose weights and pieces to begin with.
        tested: number of pairs that will be tested, all by default.

    Raises:
        FileNotFoundError, ValueError: a file of an earlier run is missing, damaged or does not fit.
        ValueError: the corpus has nothing for an option, or attention would learn the tested links.
    """
    corpora.check(config)
    parts = corpora.CORPORA[config.corpus].read(config)
    check_count("tested", tested, len(parts.test), "pairs to test on")
    if start_from is not None:
        learned = pieces.load(start_from)
    elif resume:
        learned = pieces.load(out)
    else:
        learned = pieces.train(
            parts.train, source=config.source_pieces, target=config.target_pieces
        )
    rng = jax.random.key(config.seed, impl="rbg")  # Much faster than the default on a CPU.
    init_rng, train_rng = jax.random.split(rng)
    params = begin(init_rng, config, learned)
    if start_from is not None:
        before, earlier, _ = load_weights(start_from)
        params = begun(params, config, before, earlier)
    batches = data.batches(data.encode(parts.train, learned), config)
    valid = data.encode(parts.valid, learned)
    out.mkdir(parents=True, exist_ok=True)
    pieces.save(out, learned)
    fitted = training.fit(
        partial(model.loss, config=config),
        seq2seq.optimizer(config),
        params,
        batches,
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
    metadata = {
        "config": dataclasses.asdict(config),
        "start_from": origin,
        "pieces": pieces.digest(learned),
    }
    params = fitted.state.params
    training.save_checkpoint(out / "weights.safetensors", params, metadata=metadata)
    return Trained(params, learned, config, parts, origin)


def begin(rng: jax.Array, config: Config, learned: Pieces) -> Any:
    """Draws the weights of a model of these pieces."""
    sizes = [pieces.processor(side).get_piece_size() for side in learned]
    return jax.jit(model.init, static_argnums=(1, 2, 3))(rng, config, *sizes)


def load_weights(out: Path) -> tuple[Any, Config, str | None]:
    """Returns the weights that a run left in `out`, its configuration, and the run it began from.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or of another experiment, or the pieces are those of another
            run, as after a run into the same folder that was stopped.
    """
    path = out / "weights.safetensors"
    config, metadata = load_config(path, Config)
    learned = pieces.load(out)
    if metadata.get("pieces", pieces.digest(learned)) != pieces.digest(learned):
        raise ValueError(f"{path}: trained on other pieces than those in {out}")
    like = jax.eval_shape(lambda: begin(jax.random.key(0), config, learned))
    return training.load_checkpoint(path, like=like).tree, config, metadata.get("start_from")


def load(out: Path) -> Trained:
    """Reads a finished run from its folder."""
    params, config, origin = load_weights(out)
    parts = corpora.CORPORA[config.corpus].read(config)
    return Trained(params, pieces.load(out), config, parts, origin)
