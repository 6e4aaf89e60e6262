"""The trained and the frozen weights of each method, and the model that the two make."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

import jattn
from experiments.fine_tuning.sentences.config import HEAD_RATE, METHODS, Config
from experiments.fine_tuning.sentences.encoder import EncoderParams, init_encoder
from experiments.fine_tuning.sentences.pretrained import Pretrained, encoder_params, sizes
from experiments.optimizer import adam, clipped
from jattn import training

# How the axes of weights make one matrix each, by the method that puts LoRA on them.
ATTENTION = {
    "layers/*/attention/output_weight": "d (h u)",
    "layers/*/attention/*_weight": "(h e) q",
}
LORA_AXES = {
    "lora": ATTENTION,
    "lora-words": {**ATTENTION, "words/weight": "w d"},
    "lora-linear": {**ATTENTION, "layers/*/widen/weight": "o i", "layers/*/narrow/weight": "o i"},
}


class Params(NamedTuple):
    """An encoder, and a layer that tells groups apart."""

    encoder: EncoderParams
    head: jattn.AffineParams


class Parts(NamedTuple):
    """A tree to train, a tree to leave as it is, and a function that joins them to `Params`."""

    trained: Any
    frozen: Any
    together: Callable[[Any, Any], Params]


def parts(
    config: Config, pretrained: Pretrained, groups: int, encoder: EncoderParams | None = None
) -> Parts:
    """Returns a new model, divided as the method requires.

    Args:
        groups: number of the head's outputs.
        encoder: the weights to start from, read from `pretrained` by default.

    Raises:
        ValueError: the method asks for more layers, or a higher rank, than the encoder has.
    """
    head_rng, encoder_rng, lora_rng = jax.random.split(jax.random.key(config.seed), 3)
    if config.method == "scratch":
        encoder = init_encoder(encoder_rng, sizes(pretrained))
    elif encoder is None:
        encoder = encoder_params(pretrained)
    features = encoder.words.weight.shape[1]
    head = jattn.init_affine(head_rng, input_size=features, output_size=groups, dtype=jnp.float32)
    if config.method in LORA_AXES:
        return _low_rank(config, encoder, head, lora_rng)
    if config.method == "last" and config.layers > len(encoder.layers):
        raise ValueError(
            f"--layers is {config.layers}, expected at most {len(encoder.layers)}, all layers"
        )
    last = [f"encoder/layers/{i}" for i in range(len(encoder.layers))][-config.layers :]
    chosen = {"frozen": ["head"], "last": ["head", *last]}.get(config.method, ["*"])
    params = Params(encoder, head)
    trained, frozen = training.split(params, training.select(params, chosen))
    return Parts(trained, frozen, training.join)


def _low_rank(config: Config, encoder: EncoderParams, head: Any, rng: Key[Array, ""]) -> Parts:
    lora = training.init_lora(rng, encoder, LORA_AXES[config.method], config.rank)
    merge = partial(training.apply_lora, scale=config.alpha / config.rank)

    def together(trained, frozen):
        return Params(merge(frozen, trained["encoder"]), trained["head"])

    return Parts({"encoder": lora, "head": head}, encoder, together)


def optimizer(config: Config, trained: Any, steps: int) -> optax.GradientTransformation:
    """Adam with a separate, higher rate for the head, which is drawn at random."""
    peaks = {"head": HEAD_RATE, "encoder": config.rate or METHODS[config.method][1]}
    rates: dict[Any, optax.GradientTransformation] = {
        name: adam(peak, config.warmup, steps, decay=0.999) for name, peak in peaks.items()
    }
    labels = training.label(trained, {"head": ["head"]}, default="encoder")
    return clipped(optax.partition(rates, labels))
