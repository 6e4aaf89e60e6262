"""A mistake to plant, and the tests that several of them name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

LAW = "test_laws.test_both_sides_of_a_law_are_equal"
VALUE = "test_oracle.test_G1_G2_value_and_gradient_match_the_oracle_and_its_complex_step"
EMPTY = "test_masking.test_M1_queries_without_a_key_give_zero_and_take_no_gradient"
POISON = "test_masking.test_C1_what_nobody_may_read_changes_no_bit"
SUPPORT = "test_masking.test_C2_the_derivative_of_a_query_is_nonzero_exactly_where_it_reads"
CLEAN = "test_debug.test_V3_no_operation_gives_nan_or_infinity"
DEFINITION = "test_masks.test_masks_are_what_they_are_defined_to_be"
WINDOWS = "test_masks.test_S2_windows_are_what_enumeration_gives_for_every_size_and_offset"
HEADS = "test_symmetry.test_S3_shared_heads_are_repeated_heads"
FULL = "test_precision.test_D1_full_precision_stays_what_it_is"
MIXED = "test_precision.test_D1_mixed_dtypes_promote"
HALF = "test_precision.test_D1_nothing_is_computed_in_half_precision"
HARDER = "test_precision.test_N1_N2_X1_rounding_errors_are_few_units_on_harder_inputs"
HUGE = "test_extremes.test_X1_finite_scores_give_finite_weights_under_jit"
LARGE = "test_extremes.test_X1_products_past_the_largest_float16_are_fine"
AXES = "test_axes.test_every_shared_axis_is_checked"
ENGINE = "test_engine.test_G1_G2_G3_values_and_derivatives_match_the_oracle"
DROPOUT = "test_engine_numbers.test_K1_dropout_is_a_function_of_rng_and_place_alone"
BOOLEAN_MASK = "test_axes.test_masks_are_boolean_and_of_the_right_size"
OWN_CELL = "test_recurrent.test_R1_a_cell_of_ones_own_leaves_padding_alone"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One text of one module replaced; the rest is what the test is run with.

    `row` is the name of a row of the catalog, or of a law for `LAW`.
    `call` is the place of the case among the row's, where the test takes one; the last by default.
    """

    what: str
    module: str
    old: str
    new: str
    test: str
    row: str = ""
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    call: int = -1
