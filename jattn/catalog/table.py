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

# Sizes that differ from three gates and two directions, which are axes too.
RECURRENT = {"s": 4, "i": 2, "n": 5}
HOLES = np.array([False, True, False, True])  # Steps that are valid.

# Members of a set that are no padding, the one of `t` members and the other of `s`.
OTHERS = np.array([True, False, True])
SOME = np.array([True, True, False, True, False])

IMAGE = {"y": 4, "x": 8, "c": 7, "p": 2}
WITHOUT_BIASES = {f"params.channels.{part}_bias": None for part in ("reduce", "expand")}

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
        jattn.graph_attention,
        family="score",
        paper="Veličković et al. 2018, arXiv:1710.10903",
        cost="t s v + (t + s) d p",
        cases=(case(), case(mask=RAGGED, bias=DRAWN, slope=0.125)),
    ),
    Mechanism(
        jattn.dynamic_graph_attention,
        family="score",
        conditioning=CANCELLING,
        paper="Brody et al. 2022, arXiv:2105.14491",
        cost="t s (p + v) + (t q + s k) p",
        cases=(case(), case(mask=RAGGED, bias=DRAWN, slope=0.125)),
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
        jattn.gated_attention,
        family="multi-head",
        paper="Qiu et al. 2025, arXiv:2505.06708",
        cost="h t s (e + u) + projections",
        cases=(
            case(),
            case({"g": 1}, mask=RAGGED, turn=jattn.rotary, query_offset=2),
            case(mask=RAGGED, bias=DRAWN, scale=DRAWN),
        ),
        sizes={"h": 6, "g": 2, "e": 4, "u": 8, "d": 9},
        exceptions={"E1 g": HEADED},
    ),
    Mechanism(
        jattn.query_key_norm_attention,
        family="multi-head",
        conditioning=CANCELLING,
        paper="Henry et al. 2020, arXiv:2010.04245",
        cost="h t s (e + u) + projections",
        cases=(
            case(**{"params.query_scale": None, "params.key_scale": None}),
            case({"g": 1}, mask=RAGGED, turn=jattn.rotary),
            case(mask=RAGGED, bias=DRAWN),
        ),
        sizes={"h": 6, "g": 2, "e": 4, "u": 8, "d": 9},
        exceptions={"E1 g": HEADED},
    ),
    Mechanism(
        jattn.clip_query_key,
        family="multi-head",
        paper="Kimi Team 2025, arXiv:2507.20534",
        cost="h e q + g e k",
        cases=(
            case(threshold=0.75),
            case({"g": 3}, threshold=0.75, **{f"params.{of}_bias": None for of in PROJECTIONS}),
        ),
        sizes={"h": 6, "g": 2, "e": 4, "u": 8, "d": 9},
        positive=("largest",),
        exceptions={"E1 g": HEADED},
    ),
    Mechanism(
        jattn.clip_latent_query_key,
        family="multi-head",
        paper="Kimi Team 2025, arXiv:2507.20534",
        cost="h (e c + e r + o c)",
        cases=(case(threshold=0.75),),
        sizes={"h": 4, "e": 8, "o": 6, "u": 9, "c": 10, "r": 5, "d": 12},
        positive=("largest",),
    ),
    Mechanism(
        jattn.value_residual_attention,
        family="multi-head",
        paper="Zhou et al. 2024, arXiv:2410.17897",
        cost="h t s (e + u) + projections",
        cases=(
            case({"g": 1}, mask=RAGGED, turn=jattn.rotary),
            case(mask=RAGGED, bias=DRAWN, scale=0.4),
        ),
        sizes={"h": 6, "g": 2, "e": 4, "u": 10, "d": 9},
        exceptions={"E1 g": HEADED},
    ),
    Mechanism(
        jattn.talking_heads_attention,
        family="multi-head",
        conditioning=CANCELLING,
        paper="Shazeer et al. 2020, arXiv:2003.02436",
        cost="t s (n e + m u + h (n + m)) + projections",
        cases=(
            case(mask=RAGGED, turn=jattn.rotary),
            case(mask=RAGGED, bias=DRAWN, scale=DRAWN),
        ),
        sizes={"n": 2, "h": 4, "m": 6, "e": 8, "u": 9, "d": 10},
        exceptions={"S6": NOT_ONE},
    ),
    Mechanism(
        jattn.differential_attention,
        family="multi-head",
        conditioning=CANCELLING,
        paper="Ye et al. 2024, arXiv:2410.05258",
        cost="h t s (2 e + u) + projections",
        cases=(
            case(initial=0.35, mask=RAGGED, turn=jattn.rotary),
            case(mask=RAGGED, bias=DRAWN, scale=DRAWN, initial=DRAWN, epsilon=0.25),
        ),
        sizes={"h": 4, "e": 6, "u": 8, "d": 9},
        exceptions={
            "S6": NOT_ONE,
            "E1 h": "there is at least one head",
            "transpose": "each head's context is normalized",
        },
    ),
    Mechanism(
        jattn.latent_attention,
        family="multi-head",
        paper="DeepSeek-AI 2024, arXiv:2405.04434",
        cost="h t s (e + o + u) + h s r (e + u) + projections",
        cases=(
            case(mask=RAGGED, turn=jattn.rotary, query_offset=2),
            case(mask=RAGGED, bias=DRAWN, scale=DRAWN),
        ),
        sizes={"h": 2, "e": 8, "o": 6, "u": 9, "c": 10, "r": 4, "d": 12},
    ),
    Mechanism(
        jattn.absorbed_latent_attention,
        family="multi-head",
        paper="DeepSeek-AI 2024, arXiv:2405.04434",
        cost="h t s (2 r + o) + h t r (e + u) + projections",
        cases=(
            case(mask=RAGGED, turn=jattn.rotary, query_offset=2),
            case(mask=RAGGED, bias=DRAWN, scale=DRAWN),
        ),
        sizes={"h": 2, "e": 8, "o": 6, "u": 9, "c": 10, "r": 4, "d": 12, "k": 14},
    ),
    Mechanism(
        jattn.slot_attention,
        family="set",
        paper="Locatello et al. 2020, arXiv:2006.15055",
        cost="t s (k + v)",
        cases=(case(), case(valid=SOME, scale=DRAWN, epsilon=0.25)),
    ),
    Mechanism(
        jattn.pooling_attention,
        family="set",
        paper="Yang et al. 2016",
        cost="s (k p + v)",
        cases=(case(), case(valid=SOME, normalizer=jattn.sparsemax)),
    ),
    Mechanism(
        jattn.hierarchical_attention,
        family="set",
        paper="Yang et al. 2016",
        cost="c s k p",
        cases=(case(), case(valid=pattern("#..#", "....", "##.#"), normalizer=jattn.sigmoid)),
        sizes={"c": 3, "s": 4},
    ),
    Mechanism(
        jattn.parallel_co_attention,
        family="two-sequence",
        paper="Lu et al. 2016, arXiv:1606.00061",
        cost="t s (k + p) + (t q + s k) p + t q k",
        cases=(case(), case(query_valid=OTHERS, key_valid=SOME)),
    ),
    Mechanism(
        jattn.attention_flow,
        family="two-sequence",
        paper="Seo et al. 2017, arXiv:1611.01603",
        cost="t s d",
        cases=(case(), case(query_valid=OTHERS, key_valid=SOME)),
    ),
    Mechanism(
        jattn.attention_over_attention,
        family="two-sequence",
        paper="Cui et al. 2017, arXiv:1607.04423",
        cost="t s k",
        cases=(case(), case(query_valid=OTHERS, key_valid=SOME)),
    ),
    Mechanism(
        jattn.sentinel_attention,
        family="two-sequence",
        conditioning=CANCELLING,
        paper="Lu et al. 2017, arXiv:1612.01887",
        cost="t s (p + v) + (t q + s k + t v) p",
        cases=(case(), case(valid=SOME)),
    ),
    Mechanism(
        jattn.images.squeeze_excitation,
        family="image",
        paper="Hu et al. 2018, arXiv:1709.01507",
        cost="y x c + c p",
        cases=(case(), case(**{"params.reduce_bias": None, "params.expand_bias": None})),
        sizes=IMAGE,
    ),
    Mechanism(
        jattn.images.cbam,
        family="image",
        paper="Woo et al. 2018, arXiv:1807.06521",
        cost="y x (c + m n) + c p",
        cases=(case(**WITHOUT_BIASES), case({"m": 1}, **WITHOUT_BIASES)),
        sizes=IMAGE | {"m": 5, "n": 3},
        exceptions={f"E1 {axis}": "an image and a kernel have entries" for axis in "yxcmn"},
    ),
    Mechanism(
        jattn.images.attention_gate,
        family="image",
        paper="Oktay et al. 2018, arXiv:1804.03999",
        cost="y x (c + d) p",
        sizes=IMAGE,
    ),
    Mechanism(
        jattn.images.non_local_block,
        family="image",
        paper="Wang et al. 2018, arXiv:1711.07971",
        cost="y² x² p + y x c p",
        cases=(case(), case(normalizer=jattn.sparsemax)),
        sizes=IMAGE,
    ),
    Mechanism(
        jattn.images.deformable_attention,
        family="image",
        paper="Zhu et al. 2021, arXiv:2010.04159",
        cost="t h m u + y x h u c + t h q m",
        sizes=IMAGE | {"h": 5, "m": 6, "u": 9, "q": 10},
        exceptions={f"E1 {axis}": "an image has pixels" for axis in "yx"},
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
        jattn.linear,
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
        jattn.set_attention_block,
        family="set",
        conditioning=CANCELLING,
        paper="Lee et al. 2019, arXiv:1810.00825",
        cost="h t s (e + u) + (t + s) d (h e + h u) + t d f",
        cases=(case(**BARE), case(valid=SOME)),
        sizes=BLOCK,
        exceptions={"Taylor": NO_RELU, "E1 g": HEADED},
    ),
    Mechanism(
        jattn.induced_set_attention,
        family="set",
        conditioning=CANCELLING**2,  # One block after the other.
        paper="Lee et al. 2019, arXiv:1810.00825",
        cost="h s m (e + u) + (s + m) d (h e + h u + f)",
        cases=(case(), case(valid=SOME)),
        sizes=BLOCK | {"m": 4},
        exceptions={"Taylor": NO_RELU, "E1 g": HEADED},
    ),
    Mechanism(
        jattn.pooling_by_attention,
        family="set",
        conditioning=CANCELLING,
        paper="Lee et al. 2019, arXiv:1810.00825",
        cost="h s m (e + u) + (s + m) d (h e + h u + f)",
        cases=(case(), case(valid=SOME)),
        sizes=BLOCK | {"m": 4},
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
)
