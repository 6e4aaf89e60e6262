"""The table of mechanisms."""

import numpy as np

import jattn
from jattn.catalog.row import DRAWN, Mechanism, case


def pattern(*rows: str) -> np.ndarray:
    """Returns a mask drawn with # for the keys that a query may attend to."""
    return np.array([[mark == "#" for mark in row] for row in rows])


# Queries that may attend to some keys, to none, and to others; none may attend to the last key.
RAGGED = pattern("##.#.", ".....", "#.#..")
FUNCTIONAL = jattn.masks.window(1, 1) & ~jattn.masks.lengths(1)
SCORED = (
    case(),
    case(mask=RAGGED),
    case(mask=FUNCTIONAL, bias=DRAWN),
    case(mask=RAGGED, normalizer=jattn.sparsemax),
)
# Gradients of a query are sums over the keys whose terms nearly cancel: the curvature of tanh is
# left of them, or a norm's remainder.
CANCELLING = 4.0
BY_POSITION = "scores depend on the position of a key"
NOT_ONE = "a row of weights does not sum to one"
NO_RELU = "jax.experimental.jet raises at jax.nn.relu"
NO_SCAN = "jax.experimental.jet raises at jax.lax.scan"

# Distances from -6 to 8, beyond what tables and buckets tell apart.
DISTANCES = {"t": 7, "s": 9, "h": 4}
PROJECTIONS = ("query", "key", "value", "output")
HEADED = "heads divide among at least one key-value head"
# One width for queries, keys, values and model, as blocks have it, and two heads that share one.
BLOCK = {"d": 7, "q": 7, "k": 7, "v": 7, "h": 2, "g": 1, "e": 2, "u": 2, "f": 2}
# A block has a dozen biases, one case with them is enough.
BARE = {
    f"params.{part}_bias": None
    for part in (
        *(f"{kind}attention.{of}" for kind in ("", "self_", "cross_") for of in PROJECTIONS),
        *(f"feed_forward.{of}" for of in ("hidden", "output")),
    )
}
# The third position is padding: it attends to none, and none attends to it.
PADDED = pattern("##.#.", "#..##", ".....", "##.##", ".#.#.")
SELF_PADDED = pattern("#..", "...", "#.#")

# A number of steps that chunks do not divide.
LINEAR = {"t": 5, "k": 3, "v": 2, "n": 7}
UNROLLED = (case(), case(initial=DRAWN, length=3, chunk_size=2))

# Sizes that differ from three gates and two directions, which are axes too.
RECURRENT = {"s": 4, "i": 2, "n": 5}
HOLES = np.array([False, True, False, True])  # Steps that are valid.

MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        jattn.softmax,
        family="normalizer",
        paper="Bridle 1990",
        cost="t s",
        cases=(case(), case(mask=RAGGED)),
    ),
    Mechanism(
        jattn.off_by_one_softmax,
        family="normalizer",
        paper="Miller 2023",
        cost="t s",
        cases=(case(), case(mask=RAGGED)),
        exceptions={"S6": NOT_ONE},
    ),
    Mechanism(
        jattn.scalable_softmax,
        family="normalizer",
        paper="Nakanishi 2025, arXiv:2501.19399",
        cost="t s",
        cases=(case(strength=DRAWN), case(mask=RAGGED, strength=DRAWN)),
    ),
    Mechanism(
        jattn.top_k_softmax,
        family="normalizer",
        paper="Gupta et al. 2021, arXiv:2106.06899",
        cost="t s log s",
        cases=(case(count=2), case(mask=RAGGED, count=2)),
    ),
    Mechanism(
        jattn.softpick,
        family="normalizer",
        paper="Zuhri et al. 2025, arXiv:2504.20966",
        cost="t s",
        cases=(case(), case(mask=RAGGED, epsilon=0.25)),
        exceptions={"S6": NOT_ONE},
    ),
    Mechanism(
        jattn.scaled_relu,
        family="normalizer",
        paper="Wortsman et al. 2023, arXiv:2309.08586",
        cost="t s",
        cases=(case(), case(mask=RAGGED)),
        exceptions={"S6": NOT_ONE},
    ),
    Mechanism(
        jattn.sigmoid,
        family="normalizer",
        paper="Ramapuram et al. 2024, arXiv:2409.04431",
        cost="t s",
        cases=(case(), case(mask=RAGGED)),
        exceptions={"S6": NOT_ONE},
    ),
    Mechanism(
        jattn.sparsemax,
        family="normalizer",
        paper="Martins & Astudillo 2016, arXiv:1602.02068",
        cost="t s log s",
        cases=(case(), case(mask=RAGGED)),
    ),
    Mechanism(
        jattn.entmax15,
        family="normalizer",
        paper="Peters et al. 2019, arXiv:1905.05702",
        cost="t s log s",
        cases=(case(), case(mask=RAGGED)),
    ),
    Mechanism(
        jattn.dot_attention,
        family="score",
        paper="Luong et al. 2015, arXiv:1508.04025, 3.1",
        cost="t s (k + v)",
        cases=(
            *SCORED,
            case(mask=RAGGED, normalizer=jattn.entmax15),
            case(mask=RAGGED, normalizer=jattn.sigmoid),
            case(mask=RAGGED, normalizer=jattn.off_by_one_softmax),
        ),
    ),
    Mechanism(
        jattn.scaled_dot_product_attention,
        family="score",
        paper="Vaswani et al. 2017, arXiv:1706.03762, eq. 1",
        cost="t s (k + v)",
        cases=(*SCORED, case(mask=jattn.masks.causal(), bias=DRAWN, scale=DRAWN)),
    ),
    Mechanism(
        jattn.general_attention,
        family="score",
        paper="Luong et al. 2015, arXiv:1508.04025, 3.1",
        cost="t s (k + v) + t q k",
        cases=SCORED,
    ),
    Mechanism(
        jattn.concat_attention,
        family="score",
        conditioning=CANCELLING,
        paper="Luong et al. 2015, arXiv:1508.04025, 3.1",
        cost="t s (p + v) + (t q + s k) p",
        cases=SCORED,
    ),
    Mechanism(
        jattn.additive_attention,
        family="score",
        conditioning=CANCELLING,
        paper="Bahdanau et al. 2015, arXiv:1409.0473, A.1.2",
        cost="t s (p + v) + (t q + s k) p",
        cases=(*SCORED, case(**{"params.bias": None}, mask=RAGGED)),
    ),
    Mechanism(
        jattn.location_based_attention,
        family="score",
        paper="Luong et al. 2015, arXiv:1508.04025, 3.1",
        cost="t s (q + v)",
        cases=(*SCORED, case({"m": 2}, mask=RAGGED)),
        sizes={"m": 8},
        exceptions={"S5": BY_POSITION},
    ),
    Mechanism(
        jattn.local_monotonic_attention,
        family="local",
        paper="Luong et al. 2015, arXiv:1508.04025, 3.2",
        cost="t s (k + v)",
        cases=(
            case(half_width=1),
            case(half_width=1, offset=2, mask=RAGGED),
            case(
                half_width=2,
                mask=RAGGED,
                bias=DRAWN,
                attention=jattn.scaled_dot_product_attention,
            ),
        ),
        sizes={"q": 7},
        exceptions={"S5": BY_POSITION},
    ),
    Mechanism(
        jattn.local_predictive_attention,
        family="local",
        paper="Luong et al. 2015, arXiv:1508.04025, eq. 9 and 10",
        cost="t s (k + v) + t q p",
        cases=(
            case(half_width=1),
            case(half_width=2, length=4, mask=RAGGED),
            case(
                half_width=2,
                mask=RAGGED,
                bias=DRAWN,
                attention=jattn.scaled_dot_product_attention,
            ),
        ),
        sizes={"q": 7},
        exceptions={"S5": BY_POSITION, "S6": NOT_ONE},
    ),
    Mechanism(
        jattn.multi_head_attention,
        family="multi-head",
        paper="Vaswani et al. 2017, arXiv:1706.03762, 3.2.2",
        cost="h t s (e + u) + projections",
        cases=(
            case(),
            case({"g": 6}, **{f"params.{of}_bias": None for of in PROJECTIONS}),
            # Under softmax, a bias of the keys has no gradient.
            case({"g": 1}, mask=RAGGED, normalizer=jattn.sigmoid, turn=jattn.rotary),
            case(mask=FUNCTIONAL, bias=DRAWN),
            case({"g": 1}, mask=RAGGED, scale=DRAWN, logits_soft_cap=0.5, sinks=DRAWN),
        ),
        sizes={"h": 6, "g": 2, "e": 4, "u": 8, "d": 9},
        exceptions={"E1 g": HEADED},
    ),
    Mechanism(
        jattn.biases.alibi,
        family="bias",
        paper="Press et al. 2022, arXiv:2108.12409, section 3",
        cost="h (t + s)",
        sizes=DISTANCES,
    ),
    Mechanism(
        jattn.biases.t5,
        family="bias",
        paper="Raffel et al. 2020, arXiv:1910.10683, 2.1",
        cost="h (t + s)",
        cases=(case(max_distance=6), case(bidirectional=False, max_distance=7)),
        sizes=DISTANCES | {"m": 8},
        exceptions={"E1 m": "a direction has at least two buckets"},
    ),
    Mechanism(
        jattn.biases.relative,
        family="bias",
        paper="Parikh et al. 2016, arXiv:1606.01933, 3.4",
        cost="h (t + s)",
        sizes=DISTANCES | {"m": 5},
        exceptions={"E1 m": "distance 0 has a row"},
    ),
    Mechanism(
        jattn.biases.kerple_log,
        family="bias",
        paper="Chi et al. 2022, arXiv:2205.09921, section 4",
        cost="h (t + s)",
        sizes=DISTANCES,
        positive=("rate",),
    ),
    Mechanism(
        jattn.biases.kerple_power,
        family="bias",
        paper="Chi et al. 2022, arXiv:2205.09921, section 4",
        cost="h (t + s)",
        sizes=DISTANCES,
    ),
    Mechanism(
        jattn.biases.sandwich,
        family="bias",
        paper="Chi et al. 2023, arXiv:2212.10356, section 5",
        cost="(h + d) (t + s)",
        cases=(case(features=6, base=100.0),),
        sizes=DISTANCES,
        positive=("compression",),
    ),
    Mechanism(
        jattn.embedding,
        family="layer",
        paper="Bengio et al. 2003, Journal of Machine Learning Research 3",
        cost="s d",
        draw={"tokens": lambda rng, sizes: rng.integers(0, max(sizes["w"], 1), sizes["s"])},
        exceptions={"E1 w": "without words there is no token"},
    ),
    Mechanism(
        jattn.affine,
        family="layer",
        paper="",
        cost="s i o",
        cases=(case(), case(**{"params.bias": None})),
        sizes={"o": 7},
    ),
    Mechanism(
        jattn.layer_norm,
        family="layer",
        paper="Ba et al. 2016, arXiv:1607.06450, section 3",
        cost="s d",
        cases=(case(epsilon=0.25), case(**{"params.bias": None})),
    ),
    Mechanism(
        jattn.rms_norm,
        family="layer",
        paper="Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4",
        cost="s d",
        cases=(case(epsilon=0.25),),
    ),
    Mechanism(
        jattn.rotary,
        family="layer",
        paper="Su et al. 2021, arXiv:2104.09864, 3.2.2",
        cost="t k",
        cases=(case(base=100.0), case(frequencies=DRAWN)),
        sizes={"f": 3},
        draw={"positions": lambda rng, sizes: rng.integers(-40, 40, sizes["t"])},
    ),
    Mechanism(
        jattn.gated_feed_forward,
        family="layer",
        paper="Shazeer 2020, arXiv:2002.05202, eq. 6",
        cost="s d f",
        sizes={"f": 2},
    ),
    Mechanism(
        jattn.encoder_block,
        family="layer",
        conditioning=CANCELLING,
        paper="Vaswani et al. 2017, arXiv:1706.03762, 3.1",
        cost="h s² (e + u) + s d (h e + h u + f)",
        cases=(
            case(order=jattn.post_norm, **BARE),
            case(self_mask=PADDED, self_bias=DRAWN, self_sinks=DRAWN, scale=DRAWN),
            case(logits_soft_cap=0.5, turn=jattn.rotary, query_offset=3),
        ),
        sizes=BLOCK,
        exceptions={"Taylor": NO_RELU, "E1 g": HEADED},
    ),
    Mechanism(
        jattn.decoder_block,
        family="layer",
        conditioning=CANCELLING,
        paper="Vaswani et al. 2017, arXiv:1706.03762, 3.1",
        cost="h t (t + s) (e + u) + (t + s) d (h e + h u) + t d f",
        cases=(
            case(memory_mask=jattn.masks.window(1, 1), self_bias=DRAWN, **BARE),
            case(
                self_mask=SELF_PADDED,
                memory_bias=DRAWN,
                self_sinks=DRAWN,
                memory_sinks=DRAWN,
                scale=DRAWN,
                logits_soft_cap=0.5,
                turn=jattn.rotary,
                memory_turn=jattn.rotary,
                query_offset=3,
            ),
        ),
        sizes=BLOCK,
        exceptions={"Taylor": NO_RELU, "E1 g": HEADED},
    ),
    Mechanism(
        jattn.gru_cell,
        family="recurrent",
        paper="Cho et al. 2014, arXiv:1406.1078v1",
        cost="i n + n²",
        sizes=RECURRENT,
    ),
    Mechanism(
        jattn.reset_before_gru_cell,
        family="recurrent",
        paper="Cho et al. 2014, arXiv:1406.1078v3",
        cost="i n + n²",
        sizes=RECURRENT,
    ),
    Mechanism(
        jattn.gru,
        family="recurrent",
        paper="Cho et al. 2014, arXiv:1406.1078",
        cost="s (i n + n²)",
        cases=(
            case(),
            case(initial=DRAWN, length=0),
            case(initial=DRAWN, length=3, hidden_scale=DRAWN),
            case(initial=DRAWN, valid=HOLES, reverse=True),
            case(initial=DRAWN, length=3, reverse=True, cell=jattn.reset_before_gru_cell),
        ),
        sizes=RECURRENT,
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.bidirectional_gru,
        family="recurrent",
        paper="Schuster & Paliwal 1997, doi:10.1109/78.650093",
        cost="s (i n + n²)",
        cases=(
            case(),
            case(initial=DRAWN, valid=HOLES),
            case(initial=DRAWN, length=3, cell=jattn.reset_before_gru_cell),
        ),
        sizes=RECURRENT,
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.delta_rule,
        family="linear",
        paper="Yang et al. 2024, arXiv:2406.06484",
        cost="t (k v + c (k + v))",
        cases=(
            case(decay=DRAWN, erase=DRAWN, write=DRAWN, chunk_size=1),
            case(initial=DRAWN, chunk_size=3),
            case(decay=DRAWN, erase=DRAWN, write=DRAWN),
            case(
                decay=DRAWN,
                erase=DRAWN,
                write=DRAWN,
                initial=DRAWN,
                length=3,
                chunk_size=2,
            ),
        ),
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.linear_attention,
        family="linear",
        paper="Katharopoulos et al. 2020, arXiv:2006.16236, eq. 9 to 12",
        cost="t k v",
        cases=(
            case(),
            case(initial=DRAWN, initial_key_sum=DRAWN, length=3, chunk_size=2),
        ),
        sizes=LINEAR,
        positive=("initial_key_sum",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.retention,
        family="linear",
        paper="Sun et al. 2023, arXiv:2307.08621",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.gated_linear_attention,
        family="linear",
        paper="Yang et al. 2023, arXiv:2312.06635",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.delta_net,
        family="linear",
        paper="Yang et al. 2024, arXiv:2406.06484",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.gated_delta_net,
        family="linear",
        paper="Yang et al. 2024, arXiv:2412.06464",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.kimi_delta_attention,
        family="linear",
        paper="Kimi Team 2025, arXiv:2510.26692",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.state_space_dual,
        family="linear",
        paper="Dao & Gu 2024, arXiv:2405.21060",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("step",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.rwkv7,
        family="linear",
        paper="Peng et al. 2025, arXiv:2503.14456",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("decay",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.hgrn2,
        family="linear",
        paper="Qin et al. 2024, arXiv:2404.07904",
        cost="t k v",
        cases=UNROLLED,
        sizes=LINEAR,
        positive=("forget",),
        exceptions={"Taylor": NO_SCAN},
    ),
    Mechanism(
        jattn.linear.delta_product,
        family="linear",
        paper="Siems et al. 2025, arXiv:2502.10297",
        cost="t n k v",
        cases=UNROLLED,
        sizes=LINEAR,
        exceptions={"Taylor": NO_SCAN, "E1 n": "a query has at least one key"},
    ),
)
