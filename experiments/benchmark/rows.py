"""The rows of the benchmark: problems with their sizes and peers."""

import dataclasses
import math
from collections.abc import Iterator

FORWARD, GRADIENT = BOTH = ("forward", "gradient")  # The gradient's time includes the result's.
SCALING_PEERS = ("jattn", "jax.nn", "torch", "tokamax-chunked")


@dataclasses.dataclass(frozen=True)
class Row:
    """A problem; letters of sizes are those of docs/conventions.md.

    family: rows of one kind, for `--rows` and for the page.
    kind: which function of a library's module it goes to.
    shape: sizes of the inputs, in the order that the kind says.
    window: keys that a query sees before itself; causal besides.
    padded: whether each example has a length of its own.
    documents: number of documents packed into one sequence.
    key_value_heads: all heads where 0.
    directions: what is measured.
    peers: those that are asked, or all.
    length: that of a point of a curve, otherwise 0.
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
    input_feeding: bool = False
    directions: tuple[str, ...] = BOTH
    peers: tuple[str, ...] = ()
    length: int = 0


def named(family: str, kind: str, *shapes: tuple[int, ...], **options) -> Iterator[Row]:
    for shape in shapes:
        yield Row(f"{family}-{'x'.join(map(str, shape))}", family, kind, shape, **options)


def table() -> Iterator[Row]:
    """Yields all rows; shapes are `b t h k`, `b t s q p` for additive and `b t i n` for the GRU."""
    yield Row(
        "matrix-product", "limit", "product", (2048, 2048, 2048),
        directions=(FORWARD,), peers=("jax.nn", "torch"),
    )  # fmt: skip
    yield from named(
        "dense", "attention",
        (1, 4096, 8, 64), (8, 512, 12, 64), (32, 128, 8, 64), (64, 32, 4, 32), (2, 1024, 16, 128),
    )  # fmt: skip
    yield from named("causal", "attention", (1, 4096, 8, 64), (4, 1024, 8, 64), causal=True)
    yield from named(
        "window", "attention", (1, 4096, 8, 64), (1, 16384, 8, 64), causal=True, window=256
    )
    yield from named("padded", "attention", (4, 1024, 8, 64), causal=True, padded=True)
    yield from named("documents", "attention", (1, 4096, 8, 64), documents=8)
    yield from named("grouped", "attention", (1, 2048, 32, 64), key_value_heads=8)
    yield from named("bias", "attention", (4, 512, 8, 64), biased=True)
    yield from named("soft-cap", "attention", (1, 2048, 8, 64), soft_cap=50.0)
    yield from named("decode", "attention", (1, 1, 32, 128), keys=4096, directions=(FORWARD,))
    yield from named("additive", "additive", (1, 1024, 1024, 128, 128), (64, 1, 64, 256, 128))
    yield from named(
        "gru", "gru", (1, 100, 64, 64), (32, 64, 128, 128), (32, 128, 256, 256), (64, 128, 512, 512)
    )
    yield from named("bidirectional", "bidirectional", (32, 128, 256, 256), padded=True)
    # Letters, phones, and the sizes of the default in experiments/pronunciation/config.py.
    sizes = (256, 12, 12, 64, 128, 64)
    step = {"kind": "training", "shape": sizes, "padded": True, "directions": (GRADIENT,)}
    yield Row("training-step", "training", **step)
    yield Row("training-step-input-feeding", "training", input_feeding=True, **step)
    for power in range(10, 17):
        yield from scaling(2**power)


def scaling(length: int, window: int = 256) -> Iterator[Row]:
    """Yields one length of the three curves, dense, causal and window."""
    options: dict[str, dict] = {
        "dense": {},
        "causal": {"causal": True},
        "window": {"causal": True, "window": window},
    }
    for family, option in options.items():
        yield Row(
            f"scaling-{family}-{length}", f"scaling-{family}", "attention", (1, length, 8, 64),
            directions=(GRADIENT,), peers=SCALING_PEERS, length=length, **option,
        )  # fmt: skip


def smoke_table() -> Iterator[Row]:
    """Yields one tiny row of each kind."""
    yield Row(
        "matrix-product", "limit", "product", (64, 64, 64),
        directions=(FORWARD,), peers=("jax.nn", "torch"),
    )  # fmt: skip
    yield from named("dense", "attention", (2, 16, 3, 8))
    yield from named("padded", "attention", (2, 16, 2, 8), causal=True, padded=True)
    yield from named(
        "grouped", "attention", (1, 16, 4, 8), key_value_heads=2, window=3, causal=True
    )
    yield from named("additive", "additive", (2, 8, 16, 8, 5))
    yield from named("gru", "gru", (2, 7, 3, 5))
    yield from named("bidirectional", "bidirectional", (2, 7, 3, 5), padded=True)
    yield Row(
        "training-step", "training", "training", (4, 5, 6, 8, 8, 8),
        padded=True, directions=(GRADIENT,),
    )  # fmt: skip
    for length in (16, 32):
        yield from (row for row in scaling(length, window=4) if row.family != "scaling-causal")


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


def products(row: Row, direction: str, pairs: int) -> float | None:
    """Returns the floating-point operations of the row's necessary matrix products.

    `pairs` of query and key are allowed, over the batch, in each head. Backward needs twice as
    many as forward: a gradient for each side of each product.
    """
    forward = None
    if row.kind == "attention":
        forward = 4.0 * pairs * row.shape[2] * row.shape[3]
    elif row.kind in ("gru", "bidirectional"):
        _, _, inputs, units = row.shape
        both = 2 if row.kind == "bidirectional" else 1
        forward = 6.0 * pairs * units * (inputs + units) * both
    elif row.kind == "product":
        forward = 2.0 * math.prod(row.shape)
    return forward if forward is None or direction == FORWARD else 3 * forward
