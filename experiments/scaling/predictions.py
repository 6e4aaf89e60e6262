"""Predictions of the cost model for one layer's attention on many devices."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.results import Table
from experiments.scaling import cost_model
from experiments.scaling.cost_model import Constants
from experiments.scaling.schemes import SCHEMES, Layer, costs, needed

LAYER = Layer(heads=32, key_value_heads=8, head_size=128)  # As in Llama 3 8B, in float32.
TOKENS = 2**20
DEVICES = tuple(2**power for power in range(3, 13))
SHOWN = (8, 64, 512, 4096)
IMPOSSIBLE = "-"


class Prediction(NamedTuple):
    """A scheme on a number of devices: bytes that a device sends, and what the step takes."""

    scheme: str
    devices: int
    bytes: float
    messages: float
    seconds: float
    efficiency: float


def predict(
    constants: Constants, devices: Sequence[int] = DEVICES, tokens: int = TOKENS
) -> list[Prediction]:
    """Returns the predictions of every scheme for the numbers of devices that it can use."""
    found = []
    whole = needed(tokens, LAYER)
    for name, scheme in SCHEMES.items():
        for count in devices:
            if count <= scheme.most_devices(LAYER):
                costs_of_step = costs(scheme, count, tokens, LAYER)
                taken = cost_model.seconds(costs_of_step, constants)
                share = cost_model.efficiency(whole, count, taken, constants)
                sent = costs_of_step.bytes, costs_of_step.messages
                found.append(Prediction(name, count, *sent, taken, share))
    return found


def table(
    constants: Constants, devices: Sequence[int] = SHOWN, tokens: int = TOKENS, title: str = ""
) -> Table:
    """Returns a row for each scheme and number of devices."""
    rows = []
    found = {(each.scheme, each.devices): each for each in predict(constants, devices, tokens)}
    for name in SCHEMES:
        for count in devices:
            each = found.get((name, count))
            figures = [IMPOSSIBLE] * 4
            if each is not None:
                figures = [
                    significant(each.seconds),
                    f"{100 * each.efficiency:.1f} %",
                    significant(each.bytes / 1e9),
                    f"{each.messages:,.0f}",
                ]
            rows.append([name, f"{count:,}", *figures])
    sizes = f"{LAYER.heads} heads, {LAYER.key_value_heads} key-value heads of {LAYER.head_size}"
    return Table(
        title or f"Predictions for {tokens:,} tokens",
        ["scheme", "devices", "seconds", "efficiency", "GB sent by a device", "messages"],
        rows,
        [f"One layer's causal attention with its gradient, {sizes}, float32."],
    )


def significant(number: float) -> str:
    """Formats a number with three digits, without an exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{float(f'{number:.3g}'):g}"
