"""Cells in layers in NumPy: the gradient passes down the layers."""

from jattn.oracle.recurrent.bidirectional import bidirectional
from jattn.oracle.recurrent.cells import gru_cell
from jattn.oracle.recurrent.unroll import unroll


def stacked_gru(layers, inputs, *, cell=gru_cell, **options):
    """Returns ((outputs, final), pullback), as `jax.vjp` does, without dropout."""
    return stacked(cell, layers, inputs, **options)


def stacked(
    cell,
    layers,
    inputs,
    *,
    initial=None,
    length=None,
    valid=None,
    dropout_rate=0.0,
    recurrent_dropout_rate=0.0,
    rng=None,
):
    """Returns ((outputs, final), pullback), as `jax.vjp` does, without dropout.

    The inputs of a layer are the outputs of the layer below. So doutputs of the lower layer is
    dinputs of the upper one, and the final state of each layer has a cotangent of its own.
    """
    if dropout_rate or recurrent_dropout_rate or rng is not None:
        raise ValueError("stacked: the oracle draws nothing, so it has no dropout")
    final, pullbacks = [], []
    for index, layer in enumerate(layers):
        run = bidirectional if hasattr(layer, "forward") else unroll
        start = None if initial is None else initial[index]
        (inputs, last), back = run(cell, layer, inputs, initial=start, length=length, valid=valid)
        final.append(last)
        pullbacks.append(back)

    def pullback(cotangent):
        d_inputs, d_final = cotangent
        d_layers, d_initial = [], []
        for back, d_last in zip(reversed(pullbacks), reversed(d_final), strict=True):
            d_layer, d_inputs, *d_start = back((d_inputs, d_last))
            d_layers.insert(0, d_layer)
            d_initial.insert(0, d_start[0] if d_start else None)
        gradients = (tuple(d_layers), d_inputs)
        return gradients if initial is None else (*gradients, tuple(d_initial))

    return (inputs, tuple(final)), pullback
