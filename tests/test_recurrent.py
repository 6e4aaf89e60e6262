"""What is particular to recurrence: sides of the reset gate, padding, empty sequences, dropout."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import assert_same_bits
from conftest import THOROUGHLY

import jattn
from jattn import testing
from jattn.oracle.recurrent import stacked as oracle
from jattn.oracle.recurrent.cells import reset_before_gru_cell as oracle_cell
from jattn.oracle.recurrent.lstm import lstm_cell as oracle_lstm_cell

CELLS = [jattn.gru_cell, jattn.reset_before_gru_cell]
S, INPUT_SIZE, N = 7, 3, 5
RNG = np.random.default_rng(0)
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)


def draw(*shape) -> Any:
    return RNG.standard_normal(shape) / 2


def draw_gru(inputs=INPUT_SIZE, units=N):
    return jattn.GRUParams(
        draw(3, units, inputs), draw(3, units, units), draw(3, units), draw(3, units)
    )


PARAMS, INPUTS, INITIAL = draw_gru(), draw(4, S, INPUT_SIZE), draw(4, N)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_draws_in_any_order():
    RNG.bit_generator.state = START


LENGTHS: Any = np.array([0, 1, 4, S])


def padded_batch(params, inputs, initial, lengths, cell=jattn.gru_cell, reverse=False):
    one = lambda inputs, initial, length: jattn.gru(
        params, inputs, initial=initial, length=length, cell=cell, reverse=reverse
    )
    return jax.vmap(one)(inputs, initial, lengths)


# As users get it: these tests compare bits.
run = jax.jit(padded_batch, static_argnames=("cell", "reverse"), compiler_options=THOROUGHLY)


@partial(jax.jit, static_argnames=("cell", "reverse"), compiler_options=THOROUGHLY)
def run_with_gradients(params, inputs, initial, lengths, cell, reverse):
    loss = lambda params, inputs, initial: sum(
        jnp.sum(jnp.sin(leaf))
        for leaf in padded_batch(params, inputs, initial, lengths, cell, reverse)
    )
    output = padded_batch(params, inputs, initial, lengths, cell, reverse)
    return output, jax.grad(loss, (0, 1, 2))(params, inputs, initial)


def test_R3_gates_and_states_are_those_computed_by_hand():
    """Two units with sigmoid(±ln 3) = 3/4, 1/4 and tanh(k/2 ln 2) = (2ᵏ - 1) / (2ᵏ + 1).

    The reset gates are 3/4 and 1/4, the update gates 1/4 and 3/4, the state is (1, 2). Unit 0 of
    the candidate reads unit 1 of the state with weight ln 2 and has the hidden bias 2 ln 2, unit 1
    has the bias 4 ln 2 alone. With -2 ln 2 and 0 from the inputs:

        after:   -2 + 3/4 (1 · 2 + 2) = 1    and 1/4 · 4 = 1   times ln 2
        before:  -2 + 1 · (1/4 · 2) + 2 = 1/2  and 4           times ln 2
    """
    two, three = np.log(2.0), np.log(3.0)
    input_weight, hidden_weight = np.zeros((3, 2, 3)), np.zeros((3, 2, 2))
    input_bias, hidden_bias = np.zeros((3, 2)), np.zeros((3, 2))
    inputs, hidden = jnp.array([1.0, 0.0, 2.0]), jnp.array([1.0, 2.0])
    input_weight[:, :, 1] = 9.0  # Meets the input that is zero.
    input_weight[0, :, 0] = [3 * three, 0.0]
    hidden_weight[0] = [[0.0, -three], [three, 0.0]]
    input_bias[0] = [0.0, -three]
    hidden_bias[0] = [0.0, -three]
    input_weight[1, :, 2] = [-three, three / 2]
    hidden_bias[1] = [three, 0.0]
    input_weight[2, 0, 2] = -two
    hidden_weight[2, 0, 1] = two
    hidden_bias[2] = [2 * two, 4 * two]
    params = jattn.GRUParams(
        *map(jnp.asarray, (input_weight, hidden_weight, input_bias, hidden_bias))
    )
    after = [3 / 4 * 3 / 5 + 1 / 4 * 1, 1 / 4 * 3 / 5 + 3 / 4 * 2]
    before = [3 / 4 * 1 / 3 + 1 / 4 * 1, 1 / 4 * 255 / 257 + 3 / 4 * 2]
    testing.assert_close(jattn.gru_cell(params, hidden, inputs), np.array(after), 1e-15)
    testing.assert_close(
        jattn.reset_before_gru_cell(params, hidden, inputs), np.array(before), 1e-15
    )


def test_R3_the_two_sides_of_the_reset_gate_differ():
    hidden, inputs = draw(N), draw(INPUT_SIZE)
    after, before = (cell(PARAMS, hidden, inputs) for cell in CELLS)
    assert float(jnp.abs(after - before).max()) > 1e-2
    # A reset gate that is open makes them one.
    opened = PARAMS._replace(input_bias=PARAMS.input_bias + np.array([[50.0], [0.0], [0.0]]))
    testing.assert_close(CELLS[0](opened, hidden, inputs), CELLS[1](opened, hidden, inputs), 1e-15)


@each_cell
def test_R3_projecting_all_inputs_at_once_changes_nothing(cell):
    own = lambda params, hidden, inputs: cell(params, hidden, inputs)
    scale = draw(N)
    for reverse in (False, True):
        options = {"length": 4, "reverse": reverse, "hidden_scale": scale}
        hoisted = jattn.gru(PARAMS, INPUTS[0], cell=cell, **options)
        testing.assert_close(jattn.gru(PARAMS, INPUTS[0], cell=own, **options), hoisted, 1e-14)


def test_R3_steps_in_blocks_are_the_steps_of_the_cell():
    """Two blocks and a rest, which stands at the end that a direction reads last."""
    own = lambda params, hidden, inputs: jattn.gru_cell(params, hidden, inputs)
    both, inputs = jattn.BidirectionalGRUParams(PARAMS, draw_gru()), draw(19, INPUT_SIZE)
    options: Any = {"initial": draw(2, N), "length": 17, "hidden_scale": draw(2, N)}
    blocks = jattn.bidirectional_gru(both, inputs, **options)
    testing.assert_close(jattn.bidirectional_gru(both, inputs, cell=own, **options), blocks, 1e-14)


def test_R1_a_cell_of_ones_own_leaves_padding_alone():
    own = lambda params, hidden, inputs: jattn.gru_cell(params, hidden, inputs)
    padded = jattn.gru(PARAMS, INPUTS[0], length=4, cell=own)
    outputs, final = jattn.gru(PARAMS, INPUTS[0, :4], cell=own)
    rest = len(INPUTS[0]) - 4
    testing.assert_close(padded, (jnp.pad(outputs, ((0, rest), (0, 0))), final), 1e-15)


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_R1_a_padded_sequence_is_the_sequence_alone(cell, reverse):
    padded = run(PARAMS, INPUTS, INITIAL, LENGTHS, cell, reverse)
    # As many sequences and more padding: not a bit changes.
    longer = np.concatenate([INPUTS, draw(4, 4, INPUT_SIZE)], axis=1)
    again = run(PARAMS, longer, INITIAL, LENGTHS, cell, reverse)
    assert_same_bits((again.outputs[:, :S], again.final), tuple(padded))
    assert not np.any(again.outputs[:, S:])
    for index, length in enumerate(LENGTHS):
        alone = jattn.gru(
            PARAMS, INPUTS[index, :length], initial=INITIAL[index], cell=cell, reverse=reverse
        )
        testing.assert_close(padded.outputs[index, :length], alone.outputs, 1e-14)
        testing.assert_close(padded.final[index], alone.final, 1e-14)
        assert not np.any(padded.outputs[index, length:])


@each_cell
def test_R1_backwards_is_forwards_over_the_valid_part_reversed(cell):
    backwards = run(PARAMS, INPUTS, INITIAL, LENGTHS, cell, reverse=True)
    turned = np.zeros_like(INPUTS)
    for index, length in enumerate(LENGTHS):
        turned[index, :length] = INPUTS[index, :length][::-1]
    forwards = run(PARAMS, turned, INITIAL, LENGTHS, cell)
    testing.assert_close(backwards.final, forwards.final, 1e-14)
    for index, length in enumerate(LENGTHS):
        expected = forwards.outputs[index, :length][::-1]
        testing.assert_close(backwards.outputs[index, :length], expected, 1e-14)


@each_cell
def test_R1_a_sequence_in_two_parts_with_the_state_carried_on(cell):
    whole = run(PARAMS, INPUTS, INITIAL, np.full(4, S), cell)
    first = run(PARAMS, INPUTS[:, :3], INITIAL, np.full(4, 3), cell)
    second = run(PARAMS, INPUTS[:, 3:], first.final, np.full(4, S - 3), cell)
    joined = np.concatenate([first.outputs, second.outputs], axis=1)
    assert_same_bits((joined, second.final), tuple(whole))


def test_R1_both_directions_and_layers_stop_at_the_valid_part():
    layers = (
        jattn.BidirectionalGRUParams(draw_gru(), draw_gru()),
        draw_gru(2 * N),
        jattn.BidirectionalGRUParams(draw_gru(N, 2), draw_gru(N, 2)),
    )
    for length in (0, 4):
        padded = jattn.stacked_gru(layers, INPUTS[0], length=length)
        alone = jattn.stacked_gru(layers, INPUTS[0, :length])
        testing.assert_close(padded.outputs[:length], alone.outputs, 1e-14)
        testing.assert_close(padded.final, alone.final, 1e-14)
        assert not np.any(padded.outputs[length:])


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_R2_what_stands_in_padding_changes_no_value_and_no_gradient(cell, reverse):
    padding = (np.arange(S) >= LENGTHS[:, None])[..., None]
    plain = run_with_gradients(PARAMS, INPUTS, INITIAL, LENGTHS, cell, reverse)
    for poison in (np.nan, np.inf, -np.inf, np.finfo(np.float64).max):
        inputs = np.where(padding, poison, INPUTS)
        poisoned = run_with_gradients(PARAMS, inputs, INITIAL, LENGTHS, cell, reverse)
        assert_same_bits(poisoned, plain, str(poison))
    d_inputs = plain[1][1]
    assert not np.any(np.where(padding, d_inputs, 0.0))
    assert np.any(d_inputs)


HOLES: Any = np.array([False, True, True, False, False, True, False])


def own_cell(params, hidden, inputs):
    return jattn.gru_cell(params, hidden, inputs)


@pytest.mark.parametrize(
    ("cell", "reverse"), [(CELLS[0], False), (CELLS[1], True), (own_cell, True)]
)
def test_R1_steps_that_are_not_valid_are_as_if_they_were_not_there(cell, reverse):
    """Padding before the sequence, inside of it and after it, which holds NaN."""

    def run(params, inputs, initial, valid):
        return jattn.gru(params, inputs, initial=initial, valid=valid, cell=cell, reverse=reverse)

    dirty = np.where(HOLES[:, None], INPUTS[0], np.nan)
    scattered = lambda outputs: jnp.zeros((S, N)).at[np.flatnonzero(HOLES)].set(outputs)

    def compact(params, inputs, initial):
        outputs, final = run(params, inputs[HOLES], initial, None)
        return jattn.GRUOutput(scattered(outputs), final)

    cotangent = jattn.GRUOutput(draw(S, N), draw(N))
    found, pullback = jax.vjp(partial(run, valid=HOLES), PARAMS, dirty, INITIAL[0])
    expected, expected_pullback = jax.vjp(compact, PARAMS, INPUTS[0], INITIAL[0])
    testing.assert_close(found, expected, 1e-14)
    testing.assert_close(pullback(cotangent), expected_pullback(cotangent), 1e-13)
    # The first steps are what a length says.
    testing.assert_close(
        run(PARAMS, INPUTS[0], INITIAL[0], np.arange(S) < 4),
        jattn.gru(PARAMS, INPUTS[0], initial=INITIAL[0], length=4, cell=cell, reverse=reverse),
        1e-15,
    )


def test_R1_layers_encoder_and_tagger_skip_steps_that_are_not_valid():
    layers = (jattn.BidirectionalGRUParams(draw_gru(), draw_gru()), draw_gru(2 * N))
    dirty: Any = np.where(HOLES[:, None], INPUTS[0], np.inf)
    whole = jattn.stacked_gru(layers, dirty, valid=HOLES)
    alone = jattn.stacked_gru(layers, INPUTS[0, HOLES])
    testing.assert_close(whole.outputs[HOLES], alone.outputs, 1e-14)
    testing.assert_close(whole.final, alone.final, 1e-14)
    assert not np.any(whole.outputs[~HOLES])
    sizes: dict[str, Any] = {"words": 5, "embedding_size": 3, "units": 4, "bidirectional": True}
    tokens: Any = np.where(HOLES, [1, 2, 3, 4, 0, 1, 2], -1)
    params = jattn.init_attentive_gru(jax.random.key(0), output_size=2, attention_units=3, **sizes)
    memory: Any = jattn.encode(params.encoder, tokens, valid=HOLES)
    expected = jattn.encode(params.encoder, tokens[HOLES])
    testing.assert_close(memory.values[HOLES], expected.values, 1e-14)
    testing.assert_close(memory.summary, expected.summary, 1e-14)
    assert np.array_equal(memory.mask.dense(2, S), np.stack([HOLES, HOLES]))
    tagged = jattn.attentive_gru(params, tokens, valid=HOLES)
    expected = jattn.attentive_gru(params, tokens[HOLES])
    testing.assert_close(tagged.outputs[HOLES], expected.outputs, 1e-14)
    testing.assert_close(tagged.weights[HOLES][:, HOLES], expected.weights, 1e-14)
    assert not np.any(tagged.outputs[~HOLES])
    assert not np.any(tagged.weights[~HOLES])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_D1_valid_steps_keep_the_dtype(dtype):
    cast = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)
    found = jattn.gru(cast(PARAMS), cast(INPUTS[0]), valid=HOLES)
    exact = jattn.gru(
        *jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), cast((PARAMS, INPUTS[0]))),
        valid=HOLES,
    )
    assert {leaf.dtype for leaf in found} == {jnp.dtype(dtype)}
    testing.assert_close(found, exact, 8 * float(jnp.finfo(dtype).eps))


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 3])
def test_E2_no_step_gives_back_the_initial_state(cell, reverse, steps):
    """With no inputs, and with inputs of which none is valid."""

    def function(params, inputs, initial):
        options: Any = {"valid": np.zeros(steps, bool)} if reverse else {"length": 0}
        options = options if steps else {}
        return jattn.gru(params, inputs, initial=initial, cell=cell, reverse=reverse, **options)

    output, pullback = jax.vjp(function, PARAMS, INPUTS[0, :steps], INITIAL[0])
    assert output.outputs.shape == (steps, N)
    assert not np.any(output.outputs)
    assert_same_bits(output.final, INITIAL[0])
    d_final = draw(N)
    d_params, d_inputs, d_initial = pullback(jattn.GRUOutput(draw(steps, N), d_final))
    assert_same_bits(d_initial, d_final)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((d_params, d_inputs)))


def test_E2_layers_without_a_step_give_back_their_initial_states():
    layers = (jattn.BidirectionalGRUParams(draw_gru(), draw_gru()), draw_gru(2 * N))
    initial = (draw(2, N), draw(N))
    for inputs, length in ((INPUTS[0, :0], None), (INPUTS[0], 0)):
        output = jattn.stacked_gru(layers, inputs, initial=initial, length=length)
        assert output.outputs.shape == (len(inputs), N)
        assert not np.any(output.outputs)
        assert_same_bits(output.final, initial)


def test_the_second_call_without_jit_compiles_nothing():
    compilations = []
    listen = lambda event, duration_secs, **_: compilations.append((event, duration_secs))
    inputs = [draw(S + 4, INPUT_SIZE) for _ in range(2)]
    both = jattn.BidirectionalGRUParams(draw_gru(), draw_gru())
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for calls in range(2):
            compilations.clear()
            jattn.gru(PARAMS, inputs[calls], length=calls)
            jattn.bidirectional_gru(both, inputs[calls], cell=jattn.reset_before_gru_cell)
            compiled = [
                name for name, _ in compilations if name.endswith("backend_compile_duration")
            ]
            assert bool(compiled) == (calls == 0)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_G1_G2_layers_match_their_oracle():
    layers = (
        draw_gru(2, 3),
        jattn.BidirectionalGRUParams(draw_gru(3, 2), draw_gru(3, 2)),
        draw_gru(4, 3),
    )
    initial = (draw(3), draw(2, 2), draw(3))
    ours = lambda layers, inputs, initial: jattn.stacked_gru(
        layers, inputs, initial=initial, length=2, cell=jattn.reset_before_gru_cell
    )
    theirs = lambda layers, inputs, initial: oracle.stacked_gru(
        layers, inputs, initial=initial, length=2, cell=oracle_cell
    )
    found = testing.first_order(ours, theirs, (layers, draw(3, 2), initial), tolerance=1e-12)
    report = testing.Report("stacked_gru", tuple(found))
    assert report.passed, str(report)


def test_a_length_outside_its_axis_is_refused_by_name():
    for length in (-1, S + 1):
        with pytest.raises(ValueError, match=rf"^gru: length is {length}, expected 0 to {S} \(s\)"):
            jattn.gru(PARAMS, INPUTS[0], length=length)
    layers = (PARAMS, PARAMS)
    with pytest.raises(ValueError, match=r"^stacked_gru: layers\[1\]: inputs has shape \(7, 5\)"):
        jattn.stacked_gru(layers, INPUTS[0])
    with pytest.raises(ValueError, match=r"^stacked_gru: initial has 1 states, expected 2"):
        jattn.stacked_gru(layers, INPUTS[0], initial=(INITIAL[0],))


def test_steps_and_layers_of_another_kind_are_refused_by_name():
    valid = np.ones(S, bool)
    functions: dict[str, Any] = {
        "gru": partial(jattn.gru, PARAMS),
        "bidirectional_gru": partial(
            jattn.bidirectional_gru, jattn.BidirectionalGRUParams(PARAMS, PARAMS)
        ),
        "stacked_gru": partial(jattn.stacked_gru, (PARAMS,)),
    }
    mistakes = {
        "valid is given beside length, expected one of them": {"valid": valid, "length": 2},
        r"valid has shape \(3,\), expected \(s\) with s=7": {"valid": valid[:3]},
        "valid has dtype float64, expected bool": {"valid": valid * 1.0},
        f"length is {S + 1}, expected 0 to {S}": {"length": S + 1},
        "cell is 'gru', expected a function": {"cell": "gru"},
    }
    for name, function in functions.items():
        for message, options in mistakes.items():
            with pytest.raises(ValueError, match=f"^{name}: {message}"):
                function(INPUTS[0], **options)
    wrong: tuple[tuple[str, Any, Any], ...] = (
        ("layers is a GRUParams, expected a tuple or a list of layers", PARAMS, {}),
        ("layers is a dict, expected a tuple or a list of layers", {}, {}),
        (r"layers\[1\] is a int, expected GRUParams or Bidirectional", (PARAMS, 3), {}),
        ("initial is a float, expected a state for each layer", (PARAMS,), {"initial": 1.0}),
    )
    stacked: Any = jattn.stacked_gru
    for message, layers, options in wrong:
        with pytest.raises(ValueError, match=f"^stacked_gru: {message}"):
            stacked(layers, INPUTS[0], **options)


def test_K1_no_dropout_is_bitwise_no_dropout_and_a_rate_needs_a_key():
    layers, rng = (draw_gru(), draw_gru(N)), jax.random.key(0)
    assert_same_bits(
        jattn.stacked_gru(layers, INPUTS[0], rng=rng), jattn.stacked_gru(layers, INPUTS[0])
    )
    assert_same_bits(
        jattn.stacked_gru(layers[:1], INPUTS[0], dropout_rate=0.5, rng=rng),
        jattn.stacked_gru(layers[:1], INPUTS[0]),
    )
    assert_same_bits(jattn.dropout(None, INPUTS, 0.0), INPUTS)
    for name in ("dropout_rate", "recurrent_dropout_rate"):
        half: Any = {name: 0.5}
        all_of_it: Any = {name: 1.0}
        with pytest.raises(ValueError, match=rf"^stacked_gru: {name} is 0.5 but rng is None"):
            jattn.stacked_gru(layers, INPUTS[0], **half)
        with pytest.raises(ValueError, match=rf"^stacked_gru: {name} is 1.0, expected at least 0"):
            jattn.stacked_gru(layers, INPUTS[0], rng=rng, **all_of_it)


def test_K1_dropout_keeps_the_mean():
    inputs, rate, draws = draw(6), 0.3, 4000
    dropped = jax.vmap(lambda rng: jattn.dropout(rng, inputs, rate))(
        jax.random.split(jax.random.key(1), draws)
    )
    assert_same_bits(np.unique(dropped[:, 0] / inputs[0]), np.array([0.0, 1.0 / (1.0 - rate)]))
    deviation = np.abs(inputs) * np.sqrt(rate / (1.0 - rate) / draws)
    assert np.all(np.abs(dropped.mean(0) - inputs) < 4 * deviation)


def echo(units, *, keeps):
    """A GRU with h' = tanh(x + h), or with h' = h where the update gate keeps all."""
    square = np.zeros((3, units, units))
    square[2] = np.eye(units)
    gates = np.zeros((3, units))
    gates[0], gates[1] = 50.0, 50.0 if keeps else -50.0
    return jattn.GRUParams(*map(jnp.asarray, (square, square, gates, np.zeros((3, units)))))


def test_K1_recurrent_dropout_draws_one_mask_for_all_steps():
    units, rate = 64, 0.25
    layer, inputs = echo(units, keeps=False), jnp.full((5, units), 0.3)
    options: Any = {"recurrent_dropout_rate": rate, "rng": jax.random.key(2)}
    outputs = np.asarray(jattn.stacked_gru((layer,), inputs, **options).outputs)
    expected = {}
    for scale in (0.0, 1 / (1 - rate)):
        hidden, states = 0.0, []
        for _ in range(5):
            hidden = np.tanh(0.3 + scale * hidden)
            states.append(hidden)
        expected[scale] = np.array(states)
    dropped, kept = (
        np.isclose(outputs, expected[scale][:, None], rtol=1e-12).all(0) for scale in expected
    )
    assert np.all(dropped ^ kept)
    assert 4 < dropped.sum() < 32  # 16 are expected, with a deviation of 3.5.
    # What the update gate keeps is whole.
    initial = (draw(units),)
    held = jattn.stacked_gru((echo(units, keeps=True),), inputs, initial=initial, **options)
    testing.assert_close(held.final, initial, 1e-14)


def test_K1_dropout_between_layers_falls_anew_at_each_step():
    units, rate = 16, 0.5
    lower, upper = draw_gru(INPUT_SIZE, units), echo(units, keeps=False)
    upper = upper._replace(hidden_weight=np.zeros((3, units, units)))
    layers = (lower, upper)
    whole = np.asarray(jattn.gru(lower, INPUTS[0]).outputs)
    outputs = jattn.stacked_gru(layers, INPUTS[0], dropout_rate=rate, rng=jax.random.key(3)).outputs
    seen = np.arctanh(np.asarray(outputs)) / whole
    assert np.all(np.isclose(seen, 0.0) | np.isclose(seen, 2.0))
    assert len(np.unique(np.isclose(seen, 0.0), axis=0)) == S


def test_embedding_refuses_tokens_it_has_no_row_for():
    params = jattn.EmbeddingParams(draw(5, 2))
    for tokens, wrong in (([0, 5], 5), ([-1, 2], -1)):
        with pytest.raises(ValueError, match=rf"embedding: tokens holds {wrong}, expected 0 to 4"):
            jattn.embedding(params, jnp.array(tokens))
    # Traced, they cannot be looked at: the row says that it is none.
    rows = jax.jit(jattn.embedding)(params, np.array([-1, 4, 5], np.int8))
    assert np.isnan(rows[0]).all()
    assert_same_bits(rows[1], params.weight[4])
    assert np.isnan(rows[2]).all()


def test_initial_weights_keep_the_scale_of_what_comes_in():
    params = jattn.init_gru(jax.random.key(0), input_size=400, units=25, dtype=jnp.float32)
    assert {leaf.dtype for leaf in params} == {np.dtype(np.float32)}
    testing.assert_close(params.input_weight.std(), np.float32(1 / 20), 0.02)
    for gate in np.asarray(params.hidden_weight, np.float64):
        assert np.abs(gate @ gate.T - np.eye(25)).max() < 1e-6
    assert not np.any(params.input_bias)
    assert not np.any(params.hidden_bias)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_D1_weights_in_half_precision_are_those_of_float32_rounded(dtype):
    init = partial(jattn.init_gru, jax.random.key(0), input_size=3, units=4)
    single, half = init(dtype="float32"), init(dtype=dtype)
    assert_same_bits(half, jax.tree.map(lambda leaf: leaf.astype(dtype), single))


# Arrays of NumPy are given where annotations name those of JAX.
LSTMParams: Any = jattn.LSTMParams
LSTMState: Any = jattn.LSTMState
ZoneoutState: Any = jattn.ZoneoutState
unroll: Any = jattn.unroll
bidirectional: Any = jattn.bidirectional
stacked: Any = jattn.stacked
lstm: Any = jattn.lstm


def draw_lstm(inputs=INPUT_SIZE, units=N):
    return LSTMParams(draw(4, units, inputs), draw(4, units, units), draw(4, units), draw(4, units))


def test_R3_an_lstm_is_what_is_computed_by_hand():
    """One unit with sigmoid(±ln 3) = 3/4, 1/4 and tanh(ln 2) = 3/5; the memory cell holds ln 2.

    Input gate 1/4, forget gate 3/4, candidate 3/5 and output gate 1/2:
    cell' = 3/4 ln 2 + 1/4 · 3/5.
    """
    two, three = np.log(2.0), np.log(3.0)
    zeros = np.zeros((4, 1, 1))
    params = LSTMParams(
        np.array([-three, 0.0, two, 0.0])[:, None, None],
        np.array([0.0, three, 0.0, 0.0])[:, None, None],
        zeros[..., 0],
        zeros[..., 0],
    )
    state = LSTMState(jnp.array([1.0]), jnp.array([two]))
    found = jattn.lstm_cell(params, state, jnp.array([1.0]))
    cell = np.array([3 / 4 * two + 1 / 4 * 3 / 5])
    testing.assert_close(tuple(found), (np.tanh(cell) / 2, cell), 1e-15)


def test_G1_G2_layers_of_an_lstm_in_both_directions_match_their_oracle():
    layers = (
        jattn.BidirectionalParams(draw_lstm(2, 3), draw_lstm(2, 3)),
        draw_lstm(6, 2),
    )
    state = lambda *shape: LSTMState(draw(*shape), draw(*shape))
    initial = (state(2, 3), state(2))
    options: Any = {"valid": np.array([True, False, True])}
    ours = lambda layers, inputs, initial: stacked(
        jattn.lstm_cell, layers, inputs, initial=initial, **options
    )
    theirs = lambda layers, inputs, initial: oracle.stacked(
        oracle_lstm_cell, layers, inputs, initial=initial, **options
    )
    found = testing.first_order(ours, theirs, (layers, draw(3, 2), initial), tolerance=1e-12)
    report = testing.Report("stacked", tuple(found))
    assert report.passed, str(report)


def test_a_gru_is_unrolled_as_any_other_cell():
    scale, both = draw(N), jattn.BidirectionalGRUParams(PARAMS, draw_gru())
    for cell in CELLS:
        options: Any = {"length": 4, "reverse": True, "hidden_scale": scale}
        expected = tuple(jattn.gru(PARAMS, INPUTS[0], cell=cell, **options))
        assert_same_bits(tuple(unroll(cell, PARAMS, INPUTS[0], **options)), expected)
        assert_same_bits(
            tuple(bidirectional(cell, both, INPUTS[0], length=3)),
            tuple(jattn.bidirectional_gru(both, INPUTS[0], length=3, cell=cell)),
        )
    layers = (both, draw_gru(2 * N))
    options: Any = {"length": 4, "rng": jax.random.key(0), "recurrent_dropout_rate": 0.5}
    expected = jattn.stacked_gru(layers, INPUTS[0], dropout_rate=0.5, **options)
    found = stacked(jattn.gru_cell, layers, INPUTS[0], dropout_rate=0.5, **options)
    assert_same_bits(found, expected)


class Counter(NamedTuple):
    """Parameters without a `zero_state`."""

    weight: Any


def test_a_cell_of_images_has_a_state_of_images():
    """Inputs may have any number of axes; the sum of what was read is the state."""
    add = lambda params, state, image: state + params.weight * image
    images, dirty = draw(4, 2, 3), np.array([True, False, True, True])
    start = np.zeros((2, 3))
    held: Any = np.where(dirty[:, None, None], images, np.nan)
    outputs, final = unroll(add, Counter(2.0), held, initial=start, valid=dirty)
    testing.assert_close(final, 2 * images[dirty].sum(0), 1e-14)
    testing.assert_close(outputs[dirty], 2 * np.cumsum(images[dirty], 0), 1e-14)
    assert not np.any(outputs[1])


def test_K1_recurrent_dropout_of_an_lstm_scales_the_products_alone():
    params, scale = draw_lstm(), np.array([0.0, 2.0, 2.0, 0.0, 2.0])
    state = LSTMState(draw(N), draw(N))
    found = lstm(params, INPUTS[0, :1], initial=state, hidden_scale=scale).final
    dropped = state._replace(hidden=state.hidden * scale)
    testing.assert_close(found, jattn.lstm_cell(params, dropped, INPUTS[0, 0]), 1e-15)


def test_cells_and_states_of_another_kind_are_refused_by_name():
    params, inputs = draw_lstm(), INPUTS[0]
    other: Any = lambda params, state, inputs: state.hidden
    calls: dict[str, Any] = {
        r"unroll: cell returns \(\(5,\), 'float64'\), expected LSTMState\(hidden=": lambda: (
            unroll(other, params, inputs)
        ),
        "unroll: initial is None and Counter has no method zero_state": lambda: unroll(
            other, Counter(1.0), inputs
        ),
        "unroll: Counter has no hidden_weight, expected one to scale": lambda: unroll(
            lambda params, state, inputs: state, Counter(1.0), inputs,
            initial=inputs[0], hidden_scale=np.ones(INPUT_SIZE),
        ),
        r"lstm_cell: inputs has shape \(2,\), expected \(i\)": lambda: unroll(
            jattn.lstm_cell, params, inputs[:, :2]
        ),
        "lstm: initial is a tuple, expected LSTMState": lambda: lstm(
            params, inputs, initial=(INITIAL[0], INITIAL[0])  # type: ignore[arg-type]
        ),
        "bidirectional: params is a LSTMParams, expected Bidirectional": lambda: (
            bidirectional(jattn.lstm_cell, params, inputs)
        ),
        r"stacked: layers\[0\]: params is a LSTMParams, expected GRUParams": lambda: stacked(
            jattn.gru_cell, (params,), inputs
        ),
        "zoneout: rate is 1.5, expected numbers from 0 to 1": lambda: jattn.zoneout(
            jattn.gru_cell, 1.5
        ),
        "zoneout: rate is a LSTMState, expected a number or a ": lambda: jattn.gru(
            PARAMS, inputs, cell=jattn.zoneout(jattn.gru_cell, LSTMState(0.1, 0.1))
        ),
    }  # fmt: skip
    for message, call in calls.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            call()


def test_initial_weights_of_an_lstm_open_the_forget_gate():
    params = jattn.init_lstm(jax.random.key(0), input_size=3, units=4, dtype="float32")
    assert params.input_bias.tolist() == [[0.0] * 4, [1.0] * 4, [0.0] * 4, [0.0] * 4]
    closed = jattn.init_lstm(jax.random.key(0), input_size=3, units=4, forget_bias=0.0)
    assert not np.any(closed.input_bias)
    assert {leaf.dtype for leaf in params} == {np.dtype(np.float32)}


def test_K1_zoneout_keeps_each_unit_at_its_rate_and_takes_the_mean_without_a_key():
    params, state = draw_lstm(), LSTMState(draw(N), draw(N))
    rates = LSTMState(0.25, 0.75)
    cell = jattn.zoneout(jattn.lstm_cell, rates)
    new = jattn.lstm_cell(params, state, INPUTS[0, 0])
    mean = jax.tree.map(lambda rate, old, new: rate * old + (1 - rate) * new, rates, state, new)
    testing.assert_close(cell(params, state, INPUTS[0, 0]), mean, 1e-15)

    @jax.jit
    def once(rng):
        start = ZoneoutState(state, rng)
        return cell(params, start, INPUTS[0, 0]).state

    drawn = jax.vmap(once)(jax.random.split(jax.random.key(0), 2000))
    for part, old, after, rate in zip(drawn, state, new, rates, strict=True):
        kept = np.asarray(part) == np.asarray(old)
        assert np.all(kept | np.isclose(part, after, rtol=1e-12))
        assert np.all(np.abs(kept.mean(0) - rate) < 4 * np.sqrt(rate * (1 - rate) / 2000))
    both = [np.asarray(part) == np.asarray(old) for part, old in zip(drawn, state, strict=True)]
    assert 0.1 < np.mean(both[0] & both[1]) < 0.27


def test_K1_zoneout_falls_anew_at_each_valid_step():
    units = 64
    start = ZoneoutState(jnp.zeros(units), jax.random.key(0))
    cell = jattn.zoneout(lambda params, state, inputs: state + 1.0, 0.5)
    valid = np.array([True, False, True, True])
    run = unroll(cell, None, np.zeros((4, 1)), initial=start, valid=valid)
    steps = np.diff(np.asarray(run.outputs)[valid], axis=0, prepend=0.0)
    assert set(steps.flat) == {0.0, 1.0}
    assert len({tuple(row) for row in steps}) == 3
    testing.assert_close(run.final.state, run.outputs[-1], 0.0)
    again = unroll(cell, None, np.zeros((3, 1)), initial=start)
    testing.assert_close(again.outputs, np.asarray(run.outputs)[valid], 0.0)


@pytest.mark.parametrize("dtype", [float, "float64", "float32", "bfloat16"])
def test_hidden_weights_are_orthogonal_in_the_precision_of_their_dtype(dtype):
    weight = jattn.init_gru(jax.random.key(0), input_size=2, units=4, dtype=dtype).hidden_weight
    wide = np.asarray(weight, np.float64)
    unit = float(jnp.finfo(weight.dtype).eps)
    np.testing.assert_allclose(
        wide @ wide.swapaxes(1, 2), np.tile(np.eye(4), (3, 1, 1)), atol=9 * unit
    )
