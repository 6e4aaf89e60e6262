"""Conversion of an LSTM to and from Keras, Flax, Equinox, Haiku and ONNX.

PyTorch and ONNX have two biases, as jattn. For the others both are added, and a bias that is read
becomes the input's. The state of Flax is (cell, hidden); the others have (hidden, cell), as jattn.
"""

from typing import Any

import numpy as np

from jattn.convert.gates import LSTM, gru_arrays, joined, one_bias, parted
from jattn.convert.named import Array, Sizes, Weights, nested, taken
from jattn.recurrent.lstm import LSTMParams

FORGET = 1  # The index of the forget gate in jattn's order.


def lstm_to_keras(params: LSTMParams) -> Weights:
    """Returns `kernel`, `recurrent_kernel` and `bias`, in the order of `layer.get_weights()`.

    The order of the gates is jattn's.
    """
    weight, hidden_weight, bias = _joined("lstm_to_keras", params, LSTM.order)
    return nested({"kernel": weight.T, "recurrent_kernel": hidden_weight.T, "bias": bias})


def lstm_from_keras(weights: Weights) -> LSTMParams:
    """Returns the parameters of a keras.layers.LSTM; a missing bias becomes zero."""
    axes = {"kernel": "i 4*n", "recurrent_kernel": "n 4*n", "bias": "4*n"}
    weight, hidden_weight, bias = _taken("lstm_from_keras", weights, axes)
    return _parted(weight.T, hidden_weight.T, bias, LSTM.order)


def lstm_to_linen(params: LSTMParams) -> Weights:
    """Returns `ii`, `if`, `ig`, `io` and `hi` to `ho`, the params of a flax.linen.LSTMCell.

    Under `cell` in an RNN. The hidden layers have the biases.
    """
    return _to_flax("lstm_to_linen", params, "if")


def lstm_from_linen(weights: Weights) -> LSTMParams:
    """Returns the parameters of a flax.linen.LSTMCell; the inverse of `lstm_to_linen`."""
    return _from_flax("lstm_from_linen", weights, "if")


def lstm_to_nnx(params: LSTMParams) -> Weights:
    """Returns `ii`, `if_`, `ig`, `io` and `hi` to `ho`, the state of a flax.nnx.LSTMCell.

    Under `cell` in an RNN. The hidden layers have the biases.
    """
    return _to_flax("lstm_to_nnx", params, "if_")


def lstm_from_nnx(weights: Weights) -> LSTMParams:
    """Returns the parameters of a flax.nnx.LSTMCell; the inverse of `lstm_to_nnx`."""
    return _from_flax("lstm_from_nnx", weights, "if_")


def lstm_to_equinox(params: LSTMParams) -> Weights:
    """Returns `weight_ih`, `weight_hh` and `bias`; the order of the gates is jattn's."""
    weight, hidden_weight, bias = _joined("lstm_to_equinox", params, LSTM.order)
    return nested({"weight_ih": weight, "weight_hh": hidden_weight, "bias": bias})


def lstm_from_equinox(weights: Weights) -> LSTMParams:
    """Returns the parameters of an equinox.nn.LSTMCell; a bias that is None becomes zero."""
    axes = {"weight_ih": "4*n i", "weight_hh": "4*n n", "bias": "4*n"}
    weight, hidden_weight, bias = _taken("lstm_from_equinox", weights, axes)
    return _parted(weight, hidden_weight, bias, LSTM.order)


def lstm_to_haiku(params: LSTMParams) -> Weights:
    """Returns `linear`, with `w` and `b`: the entry of hk.LSTM under its module's name.

    Its order is input, candidate, forget, output. Haiku adds 1 to the argument of the forget gate,
    so 1 is subtracted from its bias. The inputs' rows of `w` come before those of the state.
    """
    params = gru_arrays("lstm_to_haiku", params, kind=LSTM)
    moved = params.input_bias.copy()
    moved[FORGET] -= 1
    weight, hidden_weight, bias = _joined(
        "lstm_to_haiku", params._replace(input_bias=moved), "igfo"
    )
    return nested({"linear/w": np.concatenate([weight, hidden_weight], axis=1).T, "linear/b": bias})


def lstm_from_haiku(weights: Weights) -> LSTMParams:
    """Returns the parameters of an hk.LSTM; the inverse of `lstm_to_haiku` up to rounding."""
    sizes: Sizes = {}
    axes = {"linear/b": "4*n", "linear/w": "m 4*n"}
    found = taken("lstm_from_haiku", weights, axes, sizes=sizes)
    inputs = sizes["m"] - sizes["n"]
    if inputs < 0:
        shape = found["linear/w"].shape
        raise ValueError(
            f"lstm_from_haiku: linear/w has shape {shape}, expected rows of {sizes['n']} units too"
        )
    weight, hidden_weight = np.split(found["linear/w"].T, [inputs], axis=1)
    params = _parted(weight, hidden_weight, found["linear/b"], "igfo")
    bias: Any = params.input_bias
    bias[FORGET] += 1
    return params


def lstm_to_onnx(params: LSTMParams) -> Weights:
    """Returns `W`, `R` and `B`, with a leading axis for the one direction.

    The order is input, output, forget, candidate.
    """
    params = gru_arrays("lstm_to_onnx", params, kind=LSTM)
    weight, hidden_weight, bias, hidden_bias = (joined(array, "iofg", LSTM) for array in params)
    biases = np.concatenate([bias, hidden_bias])
    return nested({"W": weight[None], "R": hidden_weight[None], "B": biases[None]})


def lstm_from_onnx(weights: Weights) -> LSTMParams:
    """Returns the parameters of an LSTM operator without peepholes; without `B` biases are zero."""
    axes = {"W": "1 4*n i", "R": "1 4*n n", "B": "1 8*n"}
    weight, hidden_weight, biases = _taken("lstm_from_onnx", weights, axes)
    arrays = (weight[0], hidden_weight[0], *np.split(biases[0], 2))
    return LSTMParams(*(parted(array, "iofg", LSTM) for array in arrays))


def _joined(function: str, params: LSTMParams, order: str) -> list[Array]:
    """Returns both weights and the sum of the biases, gates one below the other."""
    params = gru_arrays(function, params, kind=LSTM)
    arrays = (params.input_weight, params.hidden_weight, one_bias(params, 4))
    return [joined(array, order, LSTM) for array in arrays]


def _parted(weight: Array, hidden_weight: Array, bias: Array, order: str) -> LSTMParams:
    weight, hidden_weight, bias = (
        parted(array, order, LSTM) for array in (weight, hidden_weight, bias)
    )
    return LSTMParams(weight, hidden_weight, bias, _zeros_like(bias))


def _zeros_like(bias: Array) -> Array:
    return np.zeros_like(bias)


def _taken(function: str, weights: Weights, axes: dict[str, str]) -> list[Array]:
    """Returns the three arrays of `axes`, of which the last one, of biases, may be missing."""
    sizes: Sizes = {}
    *names, bias = axes
    found = taken(function, weights, axes, optional=[bias], sizes=sizes)
    if bias not in found:
        *leading, rows = axes[bias].split()
        shape = [*map(int, leading), int(rows[0]) * sizes["n"]]
        found[bias] = np.zeros(shape, found[names[0]].dtype)
    return [found[name] for name in axes]


def _to_flax(function: str, params: LSTMParams, forget: str) -> Weights:
    params = gru_arrays(function, params, kind=LSTM)
    found = {}
    for index, (gate, name) in enumerate(_flax_names(forget)):
        found[f"{name}/kernel"] = params.input_weight[index].T
        found[f"h{gate}/kernel"] = params.hidden_weight[index].T
        found[f"h{gate}/bias"] = one_bias(params, 4)[index]
    return nested(found)


def _from_flax(function: str, weights: Weights, forget: str) -> LSTMParams:
    names = _flax_names(forget)
    axes: dict[str, str] = {}
    for gate, name in names:
        axes |= {f"{name}/kernel": "i n", f"h{gate}/kernel": "n n", f"h{gate}/bias": "n"}
    found = taken(function, weights, axes)
    weight: Array = np.stack([found[f"{name}/kernel"].T for _, name in names])
    hidden_weight: Array = np.stack([found[f"h{gate}/kernel"].T for gate, _ in names])
    bias: Array = np.stack([found[f"h{gate}/bias"] for gate, _ in names])
    return LSTMParams(weight, hidden_weight, bias, _zeros_like(bias))


def _flax_names(forget: str) -> list[tuple[str, str]]:
    """Returns each gate's letter and the name of the layer of its inputs."""
    return [(gate, forget if gate == "f" else f"i{gate}") for gate in LSTM.order]
