"""Mistakes planted in conversions."""

from mutants.mutant import Mutant

HEADS = "test_convert.test_heads_compute_the_same_in_the_equations_of_their_library"
LAYERS = "test_convert.test_layers_of_keras_and_onnx_are_a_dict_each"
BOTH = "test_convert.test_both_directions_are_two_grus"


MUTANTS = (
    Mutant(
        "gates read in jattn's order",
        "jattn.convert.gates",
        "gates[[order.index(gate) for gate in kind.order]]",
        "gates",
        BOTH,
        given={"library": "keras"},
    ),
    Mutant(
        "layers whose sizes nobody compares",
        "jattn.convert.gates",
        "if below is not None and features != below:",
        "if False:",
        "test_convert.test_what_holds_no_weights_is_refused_by_name",
        given={
            "message": "stacked_gru_to_onnx: layers[1] has input size 3, expected 5, the size of "
            "the outputs of"
        },
    ),
    Mutant(
        "dtypes that are no floats",
        "jattn.convert.named",
        "if array.dtype.name not in DTYPES:",
        "if False:",
        "test_convert.test_what_holds_no_weights_is_refused_by_name",
        given={
            "message": "gru_from_torch: weight_ih_l0 has dtype int4, expected a "
            "floating-point dtype"
        },
    ),
    Mutant(
        "sizes that may be anything",
        "jattn.convert.named",
        "        return size == known",
        "        return True",
        "test_convert.test_what_cannot_be_held_is_refused_by_name",
        given={
            "message": "stacked_gru_to_torch: weight_ih_l1 has shape (15, 4), expected "
            "(3*n, 1*n) with n=5"
        },
    ),
    Mutant(
        "the backward direction of torch as the forward one",
        "jattn.convert.torch_layers",
        "suffix = f\"_l{index}{'_reverse' * way}\"",
        "suffix = f\"_l{index}{'_reverse' * (1 - way)}\"",
        BOTH,
        given={"library": "torch"},
    ),
    Mutant(
        "keys and values of torch exchanged",
        "jattn.convert.torch_multi_head",
        'inputs = [flat[f"{part}_weight"] for part in ("query", "key", "value")]',
        'inputs = [flat[f"{part}_weight"] for part in ("query", "value", "key")]',
        HEADS,
        given={"library": "torch"},
    ),
    Mutant(
        "biases of ONNX exchanged",
        "jattn.convert.onnx",
        "*np.split(biases, 2)",
        "*np.split(biases, 2)[::-1]",
        LAYERS,
        given={"library": "onnx", "both": True},
    ),
    Mutant(
        "directions of Keras exchanged",
        "jattn.convert.keras",
        'WAYS = ("forward_layer", "backward_layer")',
        'WAYS = ("backward_layer", "forward_layer")',
        BOTH,
        given={"library": "keras"},
    ),
    Mutant(
        "directions of linen exchanged",
        "jattn.convert.linen",
        'WAYS = ("forward_rnn", "backward_rnn")',
        'WAYS = ("backward_rnn", "forward_rnn")',
        BOTH,
        given={"library": "linen"},
    ),
    Mutant(
        "directions of nnx exchanged",
        "jattn.convert.nnx",
        'WAYS = ("forward_rnn", "backward_rnn")',
        'WAYS = ("backward_rnn", "forward_rnn")',
        BOTH,
        given={"library": "nnx"},
    ),
    Mutant(
        "parts of Equinox in another order",
        "jattn.convert.equinox",
        'f"{part}_{kind}": f"{part}_proj/{kind}"',
        '''f"{part}_{kind}": f"{dict(query='output', output='query').get(part, part)}"
    f"_proj/{kind}"''',
        HEADS,
        given={"library": "equinox"},
    ),
    Mutant(
        "an update gate of Haiku that is not the complement",
        "jattn.convert.haiku",
        "np.stack([gates[0], -gates[1], gates[2]])",
        "np.stack([gates[0], gates[1], gates[2]])",
        "test_convert.test_the_update_gate_of_haiku_is_the_complement",
    ),
    Mutant(
        "sizes that a library lacks",
        "jattn.convert.heads",
        "if values[0] != values[1]:",
        "if False:",
        "test_convert.test_what_cannot_be_held_is_refused_by_name",
        given={"message": "multi_head_to_linen: features of a head's keys and values are 3 and 5"},
    ),
)
