# pyright: reportArgumentType=false
"""Laws of positions and position biases."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import jattn
from jattn import biases
from jattn.testing.laws.law import KEY, QUERY, K, S, T, law


@law
def rotated_scores_depend_on_distances_alone():
    """rotary: moving queries and keys by the same distance changes no score."""
    score = lambda shift: (
        jattn.rotary(QUERY, jnp.arange(T) + shift) @ jattn.rotary(KEY, jnp.arange(S) + shift).T
    )
    yield score(0), score(13)


@law
def interpolated_frequencies_are_divided_positions():
    """interpolated_frequencies: positions over the factor, at the frequencies as they were."""
    frequencies = jattn.rotary_frequencies(K)
    slower = jattn.interpolated_frequencies(frequencies, factor=4.0)
    turned = jattn.rotary(KEY, np.arange(S) / 4, frequencies=frequencies)
    yield jattn.rotary(KEY, np.arange(S), frequencies=slower), turned


@law
def ntk_frequencies_have_a_larger_base():
    """ntk_frequencies: those of base factor^(k / (k - 2)), whose last is the last over factor."""
    frequencies = jattn.rotary_frequencies(10, base=100.0)
    scaled = jattn.ntk_frequencies(frequencies, factor=8.0)
    yield scaled, jattn.rotary_frequencies(10, base=100.0 * 8.0 ** (10 / 8))
    yield scaled[[0, -1]], frequencies[[0, -1]] / np.array([1.0, 8.0])


@law
def llama_3_keeps_four_turns_and_interpolates_one():
    """by_parts_frequencies: of 8192 positions, 4 turns stay, 1 is an 8th, 2.5 halve the way."""
    turns = np.array([9.0, 4.0, 2.5, 1.0, 0.1])
    frequencies = 2 * np.pi * turns / 8192
    scaled = jattn.by_parts_frequencies(frequencies, factor=8.0, length=8192, fast=4.0)
    yield scaled / frequencies, np.array([1.0, 1.0, 9 / 16, 1 / 8, 1 / 8])


@law
def yarn_keeps_the_first_pairs_and_divides_the_last():
    """yarn_frequencies: of 128 features and 4096 positions, pairs to 20 stay, 46 on are over 16."""
    frequencies = jattn.rotary_frequencies(128)
    ratio = jattn.yarn_frequencies(frequencies, factor=16.0, length=4096) / frequencies
    yield ratio[:21], np.ones(21)
    yield ratio[33], 1 - 15 / 32
    yield ratio[46:], np.full(18, 1 / 16)


@law
def yarn_has_the_published_factors():
    """yarn_attention_factor: 1.27726 for 16, 1.48520 for 128, 1.26080 for 40 and 0.707."""
    factors = (16.0, 1.0), (128.0, 1.0), (40.0, 0.707)
    found = [jattn.yarn_attention_factor(factor, strength=m) for factor, m in factors]
    yield np.round(found, 5), np.array([1.27726, 1.48520, 1.26080])
    yield np.round(found[2] ** 2, 4), 1.5896


@law
def equal_positions_along_all_axes_are_one_axis():
    """multi_axis_rotary: the same position along all axes is rotary, in all three orders."""
    text, sections = np.repeat(np.arange(S)[:, None], 3, 1), (2, 1, 1)
    rows: Any = np.tile(KEY, 2)
    for axes in (
        jattn.contiguous_axes(sections),
        jattn.interleaved_axes(sections),
        jattn.alternating_axes(4, axes=3),
    ):
        found = jattn.multi_axis_rotary(rows, text, axis_of_pair=axes)
        yield found, jattn.rotary(rows, text[:, 0])


@law
def three_models_have_three_orders_of_axes():
    """multi_axis_rotary: published sections of Qwen2-VL and Qwen3-VL, and equal ones alternate."""
    contiguous = jattn.contiguous_axes((16, 24, 24))
    yield contiguous[[0, 15, 16, 39, 40, 63]], np.array([0, 0, 1, 1, 2, 2])
    interleaved = jattn.interleaved_axes((24, 20, 20))
    yield interleaved[:6], np.array([0, 1, 2, 0, 1, 2])
    yield interleaved[57:], np.array([0, 1, 2, 0, 0, 0, 0])
    yield jattn.interleaved_axes((5, 5)), jattn.alternating_axes(10, axes=2)


@law
def xpos_products_depend_on_distances_alone():
    """xpos: moving queries and keys by the same distance, or the centre, changes no score."""
    score = lambda shift, centre: (
        jattn.xpos(QUERY, np.arange(T) + shift, centre=centre)
        @ jattn.xpos(KEY, np.arange(S) + shift, centre=centre, inverse=True).T
    )
    yield score(13, 0.0), score(0, 0.0)
    yield score(13, 40.0), score(0, 0.0)


@law
def xpos_shrinks_a_pair_by_its_ratio():
    """xpos: 512 positions later a pair is shorter by 0.4 / 1.4, 0.9 / 1.4; without end, as long."""
    pairs = np.asarray(jattn.xpos(np.ones((1, 4)), np.array([512]))).reshape(2, 2)
    yield np.sqrt((pairs**2).sum(1) / 2), np.array([0.4, 0.9]) / 1.4
    far = jattn.xpos(KEY, np.arange(S), scale_base=1e16)
    yield far, jattn.rotary(KEY, np.arange(S))


@law
def half_split_sinusoids_are_the_same_in_another_order():
    """half_split_sinusoidal_positions: all sines of sinusoidal_positions, and then its cosines."""
    pairs, halves = jattn.sinusoidal_positions(5, 7), jattn.half_split_sinusoidal_positions(5, 7)
    yield halves, pairs[:, [0, 2, 4, 6, 1, 3, 5]]
    # Tensor2Tensor's exponents i / (n - 1) of n sines.
    wide = jattn.half_split_sinusoidal_positions(2, 8, base=10000 ** (8 / 6))
    yield wide[1, :4], np.sin(10000.0 ** (-np.arange(4) / 3))


@law
def constant_forgetting_is_alibi():
    """forgetting_bias: gates that are all f give alibi with slope -log f to keys before."""
    past = np.tri(S, dtype=bool)
    forgetting = jattn.forgetting_bias(jnp.full(S, np.log(0.7)))
    yield forgetting, np.where(past, biases.alibi(jnp.asarray([-np.log(0.7)])).dense(S, S)[0], 0.0)


@law
def a_closed_gate_hides_what_is_before_it():
    """forgetting_bias: a gate adds its logarithm to keys before it, and not to its own key."""
    bias = jattn.forgetting_bias(jnp.asarray([0.0, 0.0, -3.0, 0.0]))
    yield bias[3], np.array([-3.0, -3.0, 0.0, 0.0])
    yield jattn.forgetting_bias(jnp.arange(-4.0, 0.0), queries=1, offset=3)[0], [-6, -3, -1, 0]


@law
def selection_hides_from_later_tokens():
    """selective_bias: token 2 hides token 1 from token 3 on, but not the first or itself."""
    selection = jnp.zeros((5, 5)).at[2].set(jnp.asarray([9.0, 2.0, 9.0, 9.0, 9.0]))
    expected = np.zeros((5, 5))
    expected[3:, 1] = -2.0
    yield jattn.selective_bias(selection), expected
    yield jattn.selective_bias(-jnp.abs(KEY @ KEY.T)), np.zeros((S, S))


@law
def sinusoids_of_a_shift_are_rotated():
    """sinusoidal_positions: a later position is an earlier one, each pair turned by its angle."""
    table = np.asarray(jattn.sinusoidal_positions(9, 6))
    angles = 4 * 10000.0 ** (-np.arange(3) / 3)
    sine, cosine = table[:5, 0::2], table[:5, 1::2]
    yield table[4:, 0::2], sine * np.cos(angles) + cosine * np.sin(angles)


@law
def alibi_has_the_papers_slopes():
    """alibi_slopes: 1/2, 1/4, ... 1/256 for eight heads."""
    yield biases.alibi_slopes(8), 0.5 ** np.arange(1, 9)


@law
def t5_has_the_published_buckets():
    """t5_buckets: the buckets of 15 distances, of 32 in both directions up to 128."""
    distances = jnp.array([0, -1, -7, -8, -11, -12, -16, -32, -64, -91, -128, 1, 8, 16, 128])
    buckets = [0, 1, 7, 8, 8, 9, 10, 12, 14, 15, 15, 17, 24, 26, 31]
    yield biases.t5_buckets(distances, buckets=32, max_distance=128, bidirectional=True), buckets
