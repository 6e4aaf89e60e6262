"""Mistakes planted in plots, traces, checks, the catalog and the command."""

import functools

import numpy as np

from mutants.mutant import Mutant

CURVE, LABELLED, COSTS = "jattn.plots.curve", "jattn.plots.labelled", "jattn.tracing.costs"
REFUSED = "test_plots.test_weights_that_no_colour_shows_are_refused"
BAD_INPUT = "test_plots.test_bad_input_is_named"
SUMMARY = "test_pictures.test_each_step_of_a_decoder_is_summed_up"
COST = "test_trace.test_each_kind_of_equation_costs_what_the_rule_says"
BY_HAND = "test_trace.test_operations_are_those_counted_by_hand"
SOUND = "test_checks.test_a_sound_function_passes_in_every_mode_of_jax"
MISTAKES = "test_checks.test_V2_each_mistake_fails_the_lines_that_are_about_it"

MUTANTS = (
    Mutant(
        "links across the diagonal",
        "jattn.plots.cells",
        "Rectangle((s - 0.5 + inset, t - 0.5 + inset)",
        "Rectangle((t - 0.5 + inset, s - 0.5 + inset)",
        "test_plots.test_links_are_outlined_and_change_nothing_else",
    ),
    Mutant(
        "metrics with the lines of others",
        CURVE,
        '("-", "--", ":")',
        '("-",)',
        "test_plots.test_every_metric_has_a_line_of_its_own",
    ),
    Mutant(
        "no errors below zero",
        CURVE,
        "ylim=(0 if lowest >= 0.0 else None, None)",
        "ylim=(0, None)",
        "test_plots.test_losses_and_errors_below_zero_are_inside_of_the_axis",
    ),
    Mutant(
        "weights rounded down",
        "jattn.plots.explorer",
        "np.rint(weights",
        "np.floor(weights",
        "test_explorer.test_a_page_holds_what_it_was_given",
    ),
    Mutant(
        "every font chosen",
        "jattn.plots.figure",
        "if len(undrawn) < len(missing):",
        "if len(undrawn) <= len(missing):",
        "test_plots.test_letters_that_the_default_font_lacks_come_from_another",
    ),
    Mutant(
        "titles for every layer",
        "jattn.plots.heads",
        "titled = len(matrices) if not rows else heads",
        "titled = len(matrices)",
        "test_pictures.test_heads_stand_in_rows_of_layers_and_are_labelled_once",
    ),
    Mutant(
        "a link one row too far",
        LABELLED,
        "0 <= pair[0] < t",
        "0 <= pair[0] <= t",
        BAD_INPUT,
        given={
            "message": "attention_map: links has (2, 0), expected a row below 2 and "
            "a column below 3"
        },
    ),
    Mutant(
        "weights below zero",
        LABELLED,
        "np.isfinite(weights) & (weights >= 0.0)",
        "np.isfinite(weights)",
        REFUSED,
        given={"name": "attention_text"},
    ),
    Mutant(
        "text that a label reorders",
        LABELLED,
        ' in ("Cc", "Cs", "Zl", "Zp") or letter in REORDERING',
        ' in ("Cc", "Cs", "Zl", "Zp")',
        "test_plots.test_control_characters_are_shown_and_not_obeyed",
    ),
    Mutant(
        "wide letters as wide as others",
        LABELLED,
        "return len(label) + wide - sum(",
        "return len(label) - sum(",
        "test_plots.test_text_lines_up_whatever_the_letters",
    ),
    Mutant(
        "a mask upside down",
        "jattn.plots.maps",
        'labelled("mask_picture", allowed, None, None)',
        'labelled("mask_picture", allowed[::-1], None, None)',
        "test_plots.test_a_mask_is_drawn_as_it_is",
    ),
    Mutant(
        "one scale for all queries of an image",
        "jattn.plots.over_image",
        "vmax=largest or 1.0",
        "vmax=1.0",
        "test_pictures.test_weights_lie_over_their_patches",
    ),
    Mutant("other quartiles", "jattn.plots.over_time", "(0.25, 0.5,", "(0.3, 0.5,", SUMMARY),
    Mutant(
        "entropy of the wrong sign",
        "jattn.plots.over_time",
        "np.exp(-information)",
        "np.exp(information)",
        SUMMARY,
    ),
    Mutant(
        "small panels of another cell",
        "jattn.plots.panels",
        "return max(CELL, count * cell)",
        "return max(2 * CELL, count * cell)",
        "test_plots.test_cells_of_a_grid_are_all_of_one_size",
    ),
    Mutant(
        "a shade that begins above its bound",
        "jattn.plots.text",
        "if weight >= bound",
        "if weight > bound",
        "test_plots.test_text_without_labels_has_no_margin",
    ),
    Mutant(
        "products without their sums",
        COSTS,
        "return 2 * written * math.prod(",
        "return written * math.prod(",
        COST,
        given={"name": "batched product"},
    ),
    Mutant(
        "the cheapest branch",
        COSTS,
        "    return max(\n        Cost(times",
        "    return min(\n        Cost(times",
        COST,
        given={"name": "most expensive branch"},
    ),
    Mutant(
        "the last equation alone",
        "jattn.tracing.graph",
        "operations[target] += ",
        "operations[target] = ",
        BY_HAND,
    ),
    Mutant(
        "the largest cost as the whole",
        "jattn.tracing.record",
        "sum(value.operations for value in",
        "max(value.operations for value in",
        BY_HAND,
    ),
    Mutant(
        "a loop that costs one turn",
        "jattn.tracing.run",
        "value.operations * length",
        "value.operations",
        "test_trace.test_a_loop_stacks_its_turns_and_counts_each",
        given={"reverse": False},
    ),
    Mutant(
        "a partial function without its name",
        "jattn.tracing.tracing",
        "function = function.func",
        "break",
        "test_trace.test_names_are_found_within_calls",
        given={"wrap": functools.partial},
    ),
    Mutant(
        "shapes that nobody compares",
        "jattn.testing.agreement",
        "if np.shape(leaf) != np.shape(want):",
        "if False:",
        "test_checks.test_a_function_and_an_oracle_that_do_not_fit_are_named",
        given={
            "message": "check: function returns shape (5, 3) at [0], expected (3, 5) as its oracle"
        },
    ),
    Mutant(
        "second derivatives of a percent",
        "jattn.testing.check",
        "tolerance=10 * tolerance",
        "tolerance=1e10 * tolerance",
        MISTAKES,
    ),
    Mutant(
        "NaN that passes",
        "jattn.testing.compare",
        "bool(self.error <= self.bound)",
        "bool(not self.error > self.bound)",
        "test_checks.test_V2_no_difference_is_rounded_away",
        given={"actual": np.array([np.nan]), "expected": np.array([np.nan])},
    ),
    Mutant(
        "vmap compared with itself",
        "jattn.testing.properties",
        'compare("vmap", jax.jit(jax.vmap(function))(*batch), stacked, bound)',
        'compare("vmap", stacked, stacked, bound)',
        "test_checks.test_V2_another_value_under_jit_and_vmap_is_noticed",
    ),
    Mutant(
        "float32 as exact as bfloat16",
        "jattn.testing.properties",
        "(8 * conditioning * unit, 32",
        "(1e6 * conditioning * unit, 32",
        MISTAKES,
    ),
    Mutant(
        "a step of twice the size",
        "jattn.testing.properties",
        "+= 1j * STEP",
        "+= 2j * STEP",
        SOUND,
        given={"mode": "as it is"},
    ),
    Mutant(
        "sums in the place of products",
        "jattn.testing.trees",
        "(a * b).sum()",
        "(a + b).sum()",
        SOUND,
        given={"mode": "as it is"},
    ),
    Mutant(
        "the easiest case",
        "jattn.catalog.row",
        "max(self.cases, key=",
        "min(self.cases, key=",
        "test_catalog.test_the_hardest_case_gives_the_most_options",
    ),
    Mutant(
        "parameters of any size",
        "jattn.catalog.row",
        " / 2 / np.sqrt(fan_in)",
        " / 2",
        "test_catalog.test_arrays_are_drawn_in_the_deviation_that_is_stated",
    ),
    Mutant(
        "a row inside of its family",
        "jattn.catalog.skeleton",
        "(of_family or rows)[-1]",
        "(of_family or rows)[0]",
        "test_catalog.test_a_new_row_is_the_last_of_its_family",
    ),
    Mutant(
        "errors without a unit",
        "jattn.descriptions",
        "unit = ROUNDING[dtype]",
        "unit = 1.0",
        "test_command.test_errors_are_in_units_of_rounding",
    ),
)
