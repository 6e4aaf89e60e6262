"""Picture of a run: losses and attention weights."""

import io

import numpy as np

from experiments.article.train import Config, Run


def picture(config: Config, seeds: Run, stuck: Run) -> bytes:
    """Draws a PNG of every loss curve and of the weights of the first seeds and the zero start."""
    from matplotlib.figure import Figure  # An optional extra, needed with --out alone.

    shown = [
        (f"seed {config.seed + index}", seeds.weights[index])
        for index in range(min(config.seeds, 3))
    ]
    shown.append(("zero start", stuck.weights))
    figure = Figure(figsize=(11, 3), layout="constrained", dpi=150)
    axes = figure.subplots(1, len(shown) + 1, width_ratios=[2] + [1] * len(shown))
    axes[0].plot(seeds.losses.T, color="tab:blue", linewidth=0.6, alpha=0.7)
    axes[0].plot(stuck.losses, color="tab:red", linewidth=1.2)
    axes[0].set(yscale="log", xlabel="step", ylabel="loss")
    axes[0].set_title(f"{config.seeds} seeds (blue), zero start (red)", fontsize=9)
    for axis, (title, weights) in zip(axes[1:], shown, strict=True):
        axis.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        axis.set(xlabel="key", ylabel="query", xticks=range(3), yticks=range(3))
        axis.set_title(title, fontsize=9)
        for (row, column), weight in np.ndenumerate(weights):
            color = "white" if weight > 0.5 else "black"
            axis.text(column, row, f"{weight:.2f}", ha="center", va="center", color=color)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
