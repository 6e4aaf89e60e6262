"""Mistakes planted in cells with gates of the input alone, norms, convolutions and attention."""

from mutants.mutant import LAW, VALUE, Mutant

MIN_GRU = "jattn.recurrent.min_gru"
MIN_LSTM = "jattn.recurrent.min_lstm"
SRU = "jattn.recurrent.sru"
NORMED = "jattn.recurrent.layer_norm_gru"
CONVOLUTIONAL = "jattn.recurrent.convolutional_gru"
ATTENTION = "jattn.recurrent.attention_gru"

MUTANTS = (
    Mutant(
        "an initial state that passes through the candidate's function",
        MIN_GRU,
        "if initial is None else initial\n",
        "if initial is None else at_least_zero(initial)\n",
        LAW,
        "the_scan_of_a_minimal_gru_is_its_steps",
    ),
    Mutant(
        "a minimal GRU's gate that keeps the state",
        MIN_GRU,
        "return 1.0 - write, write * (",
        "return write, (1.0 - write) * (",
        VALUE,
        "min_gru_cell",
    ),
    Mutant(
        "padding that a scan forgets",
        "jattn.recurrent.linear_steps",
        "jnp.where(valid[:, None], kept, 1.0)",
        "jnp.where(valid[:, None], kept, 0.0)",
        VALUE,
        "min_gru",
    ),
    Mutant(
        "gates of a minimal LSTM that are no shares",
        MIN_LSTM,
        "jax.nn.sigmoid(logs[0] - logs[1])",
        "jnp.exp(logs[0])",
        VALUE,
        "min_lstm_cell",
    ),
    Mutant(
        "shares without the logarithms of gates",
        MIN_LSTM,
        "logs = jax.nn.log_sigmoid(mapped[:2])",
        "logs = mapped[:2]",
        VALUE,
        "min_lstm",
    ),
    Mutant(
        "a reset that reads the new state",
        SRU,
        "    forget, reset = jax.nn.sigmoid(gates)\n"
        "    new = forget * cell + (1.0 - forget) * mapped[0]\n",
        "    forget, reset = jax.nn.sigmoid(gates)\n"
        "    new = forget * cell + (1.0 - forget) * mapped[0]\n"
        "    reset = jax.nn.sigmoid(mapped[2] + params.bias[1] + params.state_weight[1] * new)\n",
        VALUE,
        "sru_cell",
        call=0,
    ),
    Mutant(
        "a highway of the first version",
        SRU,
        "SRUState(reset * new + ",
        "SRUState(reset * jnp.tanh(new) + ",
        VALUE,
        "sru",
    ),
    Mutant(
        "a norm of each gate",
        NORMED,
        "            layer_norm(gates, products[:2].reshape(-1), epsilon=epsilon),\n",
        "            jnp.concatenate([layer_norm(LayerNormParams(scale[g], shift[g]), products[g], "
        "epsilon=epsilon) for g in range(2)]),\n",
        VALUE,
        "layer_norm_gru_cell",
    ),
    Mutant(
        "a reset before the norm",
        NORMED,
        "jnp.tanh(candidate_in + reset * candidate_on)",
        "jnp.tanh(candidate_in + candidate_on)",
        VALUE,
        "layer_norm_gru_cell",
    ),
    Mutant(
        "an image's reset after the convolution",
        CONVOLUTIONAL,
        "_convolved(params.hidden_kernel[2:], reset * hidden)",
        "reset * _convolved(params.hidden_kernel[2:], hidden)",
        VALUE,
        "convolutional_gru_cell",
    ),
    Mutant(
        "a kernel that is flipped",
        CONVOLUTIONAL,
        "    flat = kernels.reshape(",
        "    flat = kernels[:, :, ::-1, ::-1].reshape(",
        VALUE,
        "convolutional_gru_cell",
    ),
    Mutant(
        "attention that keeps the state",
        ATTENTION,
        "attention * candidate + (1.0 - attention) * hidden",
        "(1.0 - attention) * candidate + attention * hidden",
        VALUE,
        "attention_gru_cell",
    ),
    Mutant(
        "attention that opens the gate of the old state",
        ATTENTION,
        "share = attention * (1.0 - update)",
        "share = 1.0 - (1.0 - attention) * update",
        LAW,
        "attention_scales_the_step_of_a_gru",
    ),
)
