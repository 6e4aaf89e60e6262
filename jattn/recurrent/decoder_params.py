"""The weights of both decoders: an embedding, a start, a cell and the layers of the output."""

from typing import Any, NamedTuple

import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from jattn._axes import named_axes
from jattn._options import Count
from jattn.layers import AffineParams, EmbeddingParams, init_affine, init_embedding
from jattn.recurrent.cells import InitCell, init_gru


class BahdanauDecoderParams(NamedTuple):
    """Weights of the decoder; `attention` holds the mechanism's parameters, None if it has none."""

    embedding: EmbeddingParams
    start: AffineParams
    cell: Any
    readout: AffineParams
    attention: Any = None


class LuongDecoderParams(NamedTuple):
    """Weights of the decoder; `attention` holds the mechanism's parameters, None if it has none."""

    embedding: EmbeddingParams
    start: AffineParams
    cell: Any
    combine: AffineParams
    readout: AffineParams
    attention: Any = None


@named_axes
def init_bahdanau_decoder(
    rng: Key[Array, ""],
    *,
    words: Count,
    embedding_size: Count,
    units: Count,
    value_size: Count,
    summary_size: Count,
    attention: Any = None,
    init_cell: InitCell = init_gru,
    dtype: DTypeLike = float,
) -> BahdanauDecoderParams:
    """Draws each part as `init_embedding`, `init_affine` and `init_cell` do.

    Args:
        words: size of the vocabulary.
        value_size: features of the memory's values, or of the context that the mechanism returns.
        summary_size: features of the memory's summary.
        attention: the mechanism's parameters, drawn by the caller; None if it has none.
        init_cell: draws the cell's parameters: `init_gru`, `init_lstm` or a function like these.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    keys = jax.random.split(rng, 4)
    read_size = units + embedding_size + value_size
    return BahdanauDecoderParams(
        init_embedding(keys[0], words=words, size=embedding_size, dtype=dtype),
        init_affine(keys[1], input_size=summary_size, output_size=units, dtype=dtype),
        init_cell(keys[2], input_size=embedding_size + value_size, units=units, dtype=dtype),
        init_affine(keys[3], input_size=read_size, output_size=words, dtype=dtype),
        attention,
    )


@named_axes
def init_luong_decoder(
    rng: Key[Array, ""],
    *,
    words: Count,
    embedding_size: Count,
    units: Count,
    value_size: Count,
    summary_size: Count,
    attentional_size: Count | None = None,
    input_feeding: bool = False,
    attention: Any = None,
    init_cell: InitCell = init_gru,
    dtype: DTypeLike = float,
) -> LuongDecoderParams:
    """Draws each part as `init_embedding`, `init_affine` and `init_cell` do.

    Args:
        words: size of the vocabulary.
        value_size: features of the memory's values, or of the context that the mechanism returns.
        summary_size: features of the memory's summary.
        attentional_size: features of the attentional vector, `units` by default.
        input_feeding: whether the cell also reads the attentional vector, as in `luong_step`.
        attention: the mechanism's parameters, drawn by the caller; None if it has none.
        init_cell: draws the cell's parameters: `init_gru`, `init_lstm` or a function like these.

    Raises:
        ValueError: if a size is negative or `dtype` is not a floating-point dtype.
    """
    keys = jax.random.split(rng, 5)
    size = units if attentional_size is None else attentional_size
    cell_inputs = embedding_size + (size if input_feeding else 0)
    return LuongDecoderParams(
        init_embedding(keys[0], words=words, size=embedding_size, dtype=dtype),
        init_affine(keys[1], input_size=summary_size, output_size=units, dtype=dtype),
        init_cell(keys[2], input_size=cell_inputs, units=units, dtype=dtype),
        init_affine(keys[3], input_size=value_size + units, output_size=size, dtype=dtype),
        init_affine(keys[4], input_size=size, output_size=words, dtype=dtype),
        attention,
    )
