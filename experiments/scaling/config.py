"""The configuration of a run: numbers of processes, sizes of both models, and limits."""

import dataclasses

from experiments.command import option

SCHEMES = ("all gather", "ring", "zig-zag", "Ulysses")


@dataclasses.dataclass(frozen=True)
class Config:
    """Processes, models and measuring; every field is an option of the command."""

    processes: tuple[int, ...] = option((2, 4), "numbers of processes, each with one device")
    steps: int = option(3, "training steps of each model")
    batch_size: int = option(32, "words in a step of the pronunciation model")
    layers: int = option(2, "blocks of the language model")
    heads: int = option(8, "query heads of the language model")
    key_value_heads: int = option(4, "key-value heads, a multiple of each number of processes")
    head_size: int = option(32, "features of a head", least=2)
    words: int = option(64, "words of the language model", least=2)
    schemes: tuple[str, ...] = option(SCHEMES, "schemes of context parallelism", choices=SCHEMES)
    length: int = option(256, "tokens of the sequence that the language model is trained on")
    tokens: tuple[int, ...] = option((512, 2048), "tokens of the sequences in attention alone")
    repeats: int = option(5, "calls of which the shortest counts")
    seed: int = option(0, "seed of everything that is drawn", least=0)
    start_limit: float = option(60.0, "seconds until all processes have joined", above=0)
    limit: float = option(1200.0, "seconds that the processes of one job may take", above=0)

    @property
    def size(self) -> int:
        return self.heads * self.head_size


SMOKE = Config(
    processes=(2,), steps=2, batch_size=4, layers=1, heads=2, key_value_heads=2, head_size=4,
    words=7, schemes=("zig-zag", "Ulysses"), length=8, tokens=(16,), repeats=2,
)  # fmt: skip


def check(config: Config) -> None:
    """Refuses sizes that do not divide among processes.

    Raises:
        ValueError: naming the option.
    """
    if config.heads % config.key_value_heads:
        expected = f"a multiple of --key-value-heads={config.key_value_heads}"
        raise ValueError(f"--heads is {config.heads}, expected {expected}")
    if config.head_size % 2:
        raise ValueError(f"--head-size is {config.head_size}, expected an even number")
    for count in config.processes:
        if count < 2:
            raise ValueError(f"--processes is {count}, expected at least 2")
        # Zig-zag order cuts a sequence into two chunks for each device.
        wholes = {"batch_size": (config.batch_size,), "key_value_heads": (config.key_value_heads,)}
        halves = {"length": (config.length,), "tokens": config.tokens}
        for parts, options in ((count, wholes), (2 * count, halves)):
            for name, values in options.items():
                for value in values:
                    if value % parts:
                        option = f"--{name.replace('_', '-')}"
                        expected = f"a multiple of {parts} for {count} processes"
                        raise ValueError(f"{option} is {value}, expected {expected}")
