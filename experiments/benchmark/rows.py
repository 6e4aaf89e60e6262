"""The rows of the benchmark: problems with their sizes and peers."""

import dataclasses
from collections.abc import Iterator
from typing import Any

FORWARD, GRADIENT = BOTH = ("forward", "gradient")  # The gradient's time includes the result's.
LONG = ("jattn", "jax.nn", "torch", "tokamax")
SHARDED: dict[str, Any] = {"devices": 4, "peers": ("jattn", "jax.nn")}
MODEL: dict[str, Any] = {"directions": (GRADIENT,), "peers": ("jattn", "jax.nn", "torch")}
STEP: dict[str, Any] = MODEL | {"peers": ("jattn", "torch")}


@dataclasses.dataclass(frozen=True)
class Row:
    """A problem; letters of sizes are those of docs/conventions.md.

    family: rows of one kind, for `--rows` and for the page.
    kind: the name of the function in a library's module.
    shape: sizes of the inputs, in the order of the kind.
    window: number of keys before itself that a query may attend to, under a causal mask.
    padded: whether each example has its own length.
    documents: number of documents packed into one sequence.
    key_value_heads: 0 for as many as query heads.
    devices: number of CPU devices that the batch is sharded over.
    directions: the directions that are measured.
    peers: the peers that are measured, or all.
    """

    name: str
    family: str
    kind: str
    shape: tuple[int, ...]
    causal: bool = False
    window: int | None = None
    padded: bool = False
    documents: int = 0
    key_value_heads: int = 0
    biased: bool = False
    soft_cap: float | None = None
    keys: int = 0
    devices: int = 1
    directions: tuple[str, ...] = BOTH
    peers: tuple[str, ...] = ()


def named(family: str, kind: str, *shapes: tuple[int, ...], **options: Any) -> Iterator[Row]:
    for shape in shapes:
        yield Row(f"{family}-{'x'.join(map(str, shape))}", family, kind, shape, **options)


def table() -> Iterator[Row]:
    """Yields all rows.

    Shapes are `b t h k` for attention, `b t s q p` for additive attention, `b t i n` for the GRU,
    and `b t`, layers, heads and the size of a head for the transformer.
    """
    yield from named(
        "dense", "attention",
        (1, 4096, 8, 64), (8, 512, 12, 64), (32, 128, 8, 64), (64, 32, 4, 32), (2, 1024, 16, 128),
    )  # fmt: skip
    yield from named("causal", "attention", (1, 4096, 8, 64), (4, 1024, 8, 64), causal=True)
    yield from named("causal", "attention", (1, 16384, 8, 64), causal=True, peers=LONG)
    yield from named("window", "attention", (1, 4096, 8, 64), causal=True, window=256)
    yield from named("window", "attention", (1, 16384, 8, 64), causal=True, window=256, peers=LONG)
    yield from named("padded", "attention", (4, 1024, 8, 64), causal=True, padded=True)
    yield from named("documents", "attention", (1, 4096, 8, 64), documents=8)
    yield from named("grouped", "attention", (1, 2048, 32, 64), key_value_heads=8)
    yield from named("bias", "attention", (4, 512, 8, 64), biased=True)
    yield from named("soft-cap", "attention", (1, 2048, 8, 64), soft_cap=50.0)
    yield from named("decode", "attention", (1, 1, 32, 128), keys=4096, directions=(FORWARD,))
    yield from named("sharded", "attention", (8, 512, 12, 64), **SHARDED)
    yield from named("sharded-causal", "attention", (4, 1024, 8, 64), causal=True, **SHARDED)
    yield from named("additive", "additive", (1, 1024, 1024, 128, 128), (64, 1, 64, 256, 128))
    yield from named(
        "gru", "gru", (1, 100, 64, 64), (32, 64, 128, 128), (32, 128, 256, 256), (64, 128, 512, 512)
    )
    yield from named("bidirectional", "bidirectional", (32, 128, 256, 256), padded=True)
    yield from named("transformer", "transformer", (1, 512, 12, 12, 64), **MODEL)
    yield from named(
        "transformer-causal", "transformer", (1, 512, 12, 12, 64), causal=True, **MODEL
    )
    # Letters, phones, and the sizes of the default in experiments/pronunciation/config.py.
    yield Row("training-step", "training", "training", (256, 12, 12, 64, 128, 64), **STEP)


def smoke_table() -> Iterator[Row]:
    """Yields one tiny row of each kind."""
    yield from named("dense", "attention", (2, 16, 3, 8))
    yield from named("padded", "attention", (2, 16, 2, 8), causal=True, padded=True)
    yield from named(
        "grouped", "attention", (1, 16, 4, 8), key_value_heads=2, window=3, causal=True
    )
    yield from named("sharded", "attention", (4, 16, 3, 8), **SHARDED)
    yield from named("additive", "additive", (2, 8, 16, 8, 5))
    yield from named("gru", "gru", (2, 7, 3, 5))
    yield from named("bidirectional", "bidirectional", (2, 7, 3, 5), padded=True)
    yield from named("transformer", "transformer", (2, 16, 2, 3, 8), causal=True, **MODEL)
    yield Row("training-step", "training", "training", (4, 5, 6, 8, 8, 8), **STEP)


def chosen(rows: list[Row], names: list[str] | None) -> list[Row]:
    """Returns the rows whose name or family is in `names`, in the order of the table.

    Raises:
        ValueError: if a name is neither.
    """
    if names is None:
        return rows
    valid_names = {word for row in rows for word in (row.name, row.family)}
    for name in names:
        if name not in valid_names:
            raise ValueError(f"--rows: {name} is no row and no family; --list shows them")
    return [row for row in rows if row.name in names or row.family in names]
