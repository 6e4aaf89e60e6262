"""A GRU over letters, a GRU over phones that starts from its last state, and added attention."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from experiments import seq2seq

START, STOP = 2, 3  # Tokens of phones.
LONGEST = 20  # Phones, as the published model has it.


class Params(NamedTuple):
    """The parts of the published model, and those of the added attention."""

    encoder: jattn.EncoderParams
    embedding: jattn.EmbeddingParams
    cell: jattn.GRUParams
    readout: jattn.AffineParams
    attention: jattn.AdditiveParams | None = None
    combine: jattn.AffineParams | None = None


def add_attention(rng: Key[Array, ""], params: Params, score_units: int) -> Params:
    """Adds attention that changes no bit of the output before it is trained.

    `combine [context; state]` is a linear layer that starts as zero for the context and as the
    identity for the state of the decoder.
    """
    units = params.readout.weight.shape[1]
    attention = jattn.init_additive(
        rng, query_size=units, key_size=units, units=score_units, bias=True
    )
    weight = jnp.concatenate([jnp.zeros((units, units)), jnp.eye(units)], axis=1)
    return params._replace(
        attention=attention, combine=jattn.AffineParams(weight, jnp.zeros(units))
    )


def reader(params: Params, memory: jattn.Memory) -> Callable[..., tuple[Array, Array]]:
    """Returns a function of states `t n` that gives the readout's inputs and attention weights."""
    attention, combine = params.attention, params.combine
    if attention is None or combine is None:
        return lambda hidden: (hidden, jnp.zeros((len(hidden), len(memory.values)), hidden.dtype))
    read = jattn.read_by(jattn.additive_attention)(attention, memory)

    def combined(hidden):
        context, weights = read(hidden, 0)
        return jattn.affine(combine, jnp.concatenate([context, hidden], axis=-1)), weights

    return combined


def decode(
    params: Params, letters: Int[Array, " s"], length: Int[Array, ""], inputs: Int[Array, " t"]
) -> Float[Array, "t w"]:
    """Returns logits of the phone after each of `inputs`."""
    memory = jattn.encode(params.encoder, letters, length=length)
    embedded = jattn.embedding(params.embedding, inputs)
    hidden = jattn.gru(params.cell, embedded, initial=memory.summary).outputs
    return jattn.affine(params.readout, reader(params, memory)(hidden)[0])


def loss(
    params: Params, batch: Mapping[str, Any], _rng: Key[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Returns the cross entropy of each phone given the ones before it, and the accuracy."""
    lengths = batch["phones_length"], batch["letters_length"]
    wanted = seq2seq.targets(batch["phones"], *lengths, start=START, stop=STOP)
    scores = jax.vmap(partial(decode, params))(
        batch["letters"], batch["letters_length"], wanted.inputs
    )
    return seq2seq.token_loss(scores, wanted)


@jax.jit
def pronounce(params: Params, letters: Int[Array, "b s"], lengths: Int[Array, " b"]) -> Any:
    """Searches greedily; returns tokens `b m`, lengths, weights `b m s` and scores."""

    def spoken(letters, length):
        memory = jattn.encode(params.encoder, letters, length=length)
        read = reader(params, memory)

        def step(state, token):
            hidden = jattn.gru_cell(params.cell, state[0], jattn.embedding(params.embedding, token))
            seen, weights = read(hidden[None])
            scores = jattn.affine(params.readout, seen[0])
            return jax.nn.log_softmax(scores), (hidden, weights[0])

        result = jattn.greedy_search(
            step,
            (memory.summary, jnp.zeros(len(letters), memory.summary.dtype)),
            start=START,
            stop=STOP,
            max_steps=LONGEST,
            collect=lambda state: state[1],
        )
        return result.tokens, result.lengths, result.collected, result.scores

    return jax.vmap(spoken)(letters, lengths)
