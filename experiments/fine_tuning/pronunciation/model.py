"""A GRU over letters, a GRU over phones that starts from its last state, and attention to add."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

import jattn
from jattn import training

START, STOP = 2, 3  # Tokens of phones.
LONGEST = 20  # Phones, as the published model has it.


class Params(NamedTuple):
    """The published model's parts, and those of the attention that it has not."""

    encoder: jattn.EncoderParams
    embedding: jattn.EmbeddingParams
    cell: jattn.GRUParams
    readout: jattn.LinearParams
    attention: jattn.AdditiveParams | None = None
    combine: jattn.LinearParams | None = None


def add_attention(rng: Key[Array, ""], params: Params, score_units: int) -> Params:
    """The same model, bit for bit, able to learn to attend.

    A decoder's state meets what it attends to in `combine [context; state]`, a linear layer that
    starts as zero for the context and as the identity for the state.
    """
    units = params.readout.weight.shape[1]
    attention = jattn.init_additive(
        rng, query_size=units, key_size=units, units=score_units, bias=True
    )
    weight = jnp.concatenate([jnp.zeros((units, units)), jnp.eye(units)], axis=1)
    return params._replace(
        attention=attention, combine=jattn.LinearParams(weight, jnp.zeros(units))
    )


def reader(params: Params, memory: jattn.Memory) -> Callable[..., tuple[Array, Array]]:
    """What the readout sees of states `t n`, and what each of them attends to."""
    attention, combine = params.attention, params.combine
    if attention is None or combine is None:
        return lambda hidden: (hidden, jnp.zeros((len(hidden), len(memory.values)), hidden.dtype))
    read = jattn.read_by(jattn.additive_attention)(attention, memory)

    def combined(hidden):
        context, weights = read(hidden, 0)
        return jattn.linear(combine, jnp.concatenate([context, hidden], axis=-1)), weights

    return combined


def decoded(params: Params, batch: Mapping[str, Any]) -> Float[Array, "b t w"]:
    """Logits of each phone given the ones before it, and of the end."""
    phones = batch["phones"]
    before = jnp.concatenate([jnp.full_like(phones[:, :1], START), phones], axis=1)

    def one(letters, length, before):
        memory = jattn.encode(params.encoder, letters, length=length)
        embedded = jattn.embedding(params.embedding, before)
        hidden = jattn.gru(params.cell, embedded, initial=memory.summary).outputs
        return jattn.linear(params.readout, reader(params, memory)(hidden)[0])

    return jax.vmap(one)(batch["letters"], batch["letters_length"], before)


def loss(
    params: Params, batch: Mapping[str, Any], _rng: Key[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Cross entropy of each phone given the ones before it, and how many are guessed right."""
    phones, lengths = batch["phones"], batch["phones_length"]
    is_phone = training.length_mask(lengths, phones.shape[1])
    stop = jnp.full_like(phones[:, :1], STOP)
    labels = jnp.concatenate([jnp.where(is_phone, phones, STOP), stop], axis=1)
    scores = decoded(params, batch)
    mask = training.length_mask((lengths + 1) * (batch["letters_length"] > 0), labels.shape[1])
    entropy = training.token_cross_entropy(scores, labels, mask)
    return entropy, {"accuracy": training.token_accuracy(scores, labels, mask)}


@jax.jit
def pronounce(params: Params, letters: Int[Array, "b s"], lengths: Int[Array, " b"]) -> Any:
    """The likeliest phone one after the other: tokens `b m`, lengths, weights `b m s`, scores."""

    def one(letters, length):
        memory = jattn.encode(params.encoder, letters, length=length)
        read = reader(params, memory)

        def step(state, token):
            hidden = jattn.gru_cell(params.cell, state[0], jattn.embedding(params.embedding, token))
            seen, weights = read(hidden[None])
            scores = jattn.linear(params.readout, seen[0])
            return jax.nn.log_softmax(scores), (hidden, weights[0])

        found = jattn.greedy_search(
            step,
            (memory.summary, jnp.zeros(len(letters), memory.summary.dtype)),
            start=START,
            stop=STOP,
            max_steps=LONGEST,
            collect=lambda state: state[1],
        )
        return found.tokens, found.lengths, found.collected, found.scores

    return jax.vmap(one)(letters, lengths)
