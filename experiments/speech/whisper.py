"""Whisper on jattn's transformer blocks: Radford et al. (2022), arXiv:2212.04356.

An encoder reads a spectrogram of 30 seconds, and a decoder writes the text a token at a time.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

import jattn
from jattn import engine

POSITIONS = 448  # Of the decoder, prompt included.
LONGEST = POSITIONS // 2  # Tokens of a window's text, as in the original.
FEED_FORWARD = partial(jattn.feed_forward, activation=partial(jax.nn.gelu, approximate=False))


class Convolution(NamedTuple):
    """Weights of a convolution of width 3 from `i` to `o` features."""

    weight: Float[Array, "o i 3"]
    bias: Float[Array, " o"]


class Whisper(NamedTuple):
    """All weights; the words' embedding is also the readout."""

    convolutions: tuple[Convolution, Convolution]
    frame_positions: Float[Array, "s d"]
    encoder: jattn.TransformerEncoderParams
    words: Float[Array, "w d"]
    token_positions: Float[Array, "m d"]
    decoder: jattn.TransformerDecoderParams


class Rules(NamedTuple):
    """Tokens with a meaning, and tokens that are never written, or never written first."""

    start: int
    stop: int
    no_timestamps: int
    no_speech: int
    suppressed: tuple[int, ...]
    suppressed_first: tuple[int, ...]
    alignment_heads: tuple[tuple[int, int], ...]  # Of a block, and of a head in it.

    @property
    def prompt(self) -> tuple[int, int]:
        """Returns the tokens before the text."""
        return self.start, self.no_timestamps


def from_arrays(arrays: Mapping[str, np.ndarray], dtype: DTypeLike = np.float32) -> Whisper:
    """Returns the weights in a file of CTranslate2.

    Raises:
        KeyError: an array is missing.
    """
    get = lambda name: jnp.asarray(arrays[name].astype(dtype))

    def norm(name: str) -> jattn.LayerNormParams:
        scale, bias = (get(f"{name}/layer_norm/{kind}") for kind in ("gamma", "beta"))
        return jattn.LayerNormParams(scale, bias)

    def attention(name: str, heads: int, parts: tuple[int, ...]) -> jattn.MultiHeadParams:
        """Splits fused products; `parts` counts the projections in each product."""
        weights: list[Array] = []
        biases: list[Array] = []
        for place, count in enumerate(parts):
            weight, bias = (get(f"{name}/linear_{place}/{kind}") for kind in ("weight", "bias"))
            weights += [x.reshape(heads, -1, weight.shape[1]) for x in jnp.split(weight, count)]
            biases += [x.reshape(heads, -1) for x in jnp.split(bias, count)]
        output, bias = (get(f"{name}/linear_{len(parts)}/{kind}") for kind in ("weight", "bias"))
        fields = [*weights, output.reshape(len(output), heads, -1), *biases, bias]
        return jattn.MultiHeadParams._make(fields)

    def feed_forward(name: str) -> jattn.FeedForwardParams:
        hidden, output = (f"{name}/linear_{place}" for place in (0, 1))
        weights = get(f"{hidden}/weight"), get(f"{output}/weight")
        return jattn.FeedForwardParams(*weights, get(f"{hidden}/bias"), get(f"{output}/bias"))

    def heads_of(part: str) -> int:
        return int(arrays[f"{part}/num_heads"])

    def encoder_block(name: str) -> jattn.EncoderBlockParams:
        to_self, network = f"{name}/self_attention", f"{name}/ffn"
        of_self = attention(to_self, heads_of("encoder"), (3,))
        return jattn.EncoderBlockParams(
            of_self, norm(to_self), feed_forward(network), norm(network)
        )

    def decoder_block(name: str) -> jattn.DecoderBlockParams:
        to_self, to_memory = f"{name}/self_attention", f"{name}/attention"
        heads, network = heads_of("decoder"), f"{name}/ffn"
        of_self, of_memory = attention(to_self, heads, (3,)), attention(to_memory, heads, (1, 2))
        return jattn.DecoderBlockParams(
            of_self, norm(to_self), of_memory, norm(to_memory), feed_forward(network), norm(network)
        )

    def blocks(part: str, block: Any) -> tuple[Any, ...]:
        count = len({name.split("/")[1] for name in arrays if name.startswith(f"{part}/layer_")})
        names = [f"{part}/layer_{index}" for index in range(count - 1)]  # Without layer_norm.
        return tuple(map(block, names))

    convolutions = tuple(
        Convolution(get(f"encoder/conv{i}/weight"), get(f"encoder/conv{i}/bias")) for i in (1, 2)
    )
    return Whisper(
        convolutions=convolutions,  # type: ignore[arg-type]
        frame_positions=get("encoder/position_encodings/encodings"),
        encoder=jattn.TransformerEncoderParams(blocks("encoder", encoder_block), norm("encoder")),
        words=get("decoder/embeddings/weight"),
        token_positions=get("decoder/position_encodings/encodings"),
        decoder=jattn.TransformerDecoderParams(blocks("decoder", decoder_block), norm("decoder")),
    )


def encode(params: Whisper, spectrogram: Float[Array, "m f"]) -> Float[Array, "s d"]:
    """Returns the encoder's states, one for two frames.

    Of fewer than 3,000 frames the first positions are used; the model was trained on 3,000.
    """
    rows = spectrogram[None]
    for stride, (weight, bias) in zip((1, 2), params.convolutions, strict=True):
        rows = jax.lax.conv_general_dilated(rows, weight, (stride,), [(1, 1)])
        rows = jax.nn.gelu(rows + bias[None, :, None], approximate=False)
    states = rows[0].T
    states = states + params.frame_positions[: len(states)]
    encoded = jattn.transformer_encoder(
        params.encoder, states, feed_forward=FEED_FORWARD, attend=engine.attend
    )
    return encoded.outputs


def read(
    params: Whisper, states: Float[Array, "s d"], tokens: Int[Array, " t"]
) -> tuple[Float[Array, "t w"], tuple[Float[Array, "h t s"], ...]]:
    """Returns the logits after each of the tokens, and each block's weights on the states."""
    rows = params.words[tokens] + params.token_positions[: len(tokens)]
    attend = partial(engine.attend, return_weights=True)
    decoded = jattn.transformer_decoder(
        params.decoder, rows, states, feed_forward=FEED_FORWARD, attend=attend
    )
    logits = jnp.einsum("wd,td->tw", params.words, decoded.outputs)
    return logits, decoded.cross_weights  # type: ignore[return-value]


def write(
    params: Whisper,
    states: Float[Array, "s d"],
    rules: Rules,
    *,
    beam_size: int = 1,
    longest: int = LONGEST,
) -> jattn.SearchResult:
    """Returns the likeliest text of a window: greedy search, or beam search's best.

    Keys and values of past tokens are in caches, and those of the states are computed once.
    Suppressed tokens have probability zero and the others sum to one, as in the original.
    """
    memory = jattn.transformer_memory(params.decoder, states)
    prompt = rules.prompt
    start = jattn.transformer_start(params.decoder, memory, capacity=longest + len(prompt))
    words = len(params.words)
    never, never_first = np.zeros((2, words), bool)
    never[list(rules.suppressed)] = never_first[list(rules.suppressed_first)] = True

    def step(state: Any, token: Int[Array, ""]) -> tuple[Float[Array, " w"], Any]:
        row = params.words[token] + params.token_positions[state.position]
        is_first = state.position == len(prompt) - 1
        row, state = jattn.transformer_step(
            params.decoder,
            state,
            row,
            memory,
            feed_forward=FEED_FORWARD,
            attend=engine.attend_with_cache,
        )
        logits = jnp.einsum("wd,d->w", params.words, row)
        logits = jnp.where(never | (never_first & is_first), -jnp.inf, logits)
        return jax.nn.log_softmax(logits), state

    options: dict[str, Any] = {
        "start": np.array(prompt, np.int32),
        "stop": rules.stop,
        "max_steps": longest,
    }
    if beam_size == 1:
        return jattn.greedy_search(step, start, **options)
    found = jattn.beam_search(step, start, beam_size=beam_size, length_penalty=1.0, **options)
    return jax.tree.map(lambda leaf: leaf[0], found)
