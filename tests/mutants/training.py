"""Mistakes planted in training and in the writing of files."""

import sys
from pathlib import Path

import numpy as np

from mutants.mutant import Mutant

# The tests of training have a folder of their own.
sys.path.append(str(Path(__file__).parents[1] / "training"))

ATOMIC = "jattn.atomic"
BATCHES = "jattn.training.batches"
CHECKPOINT = "jattn.training.checkpoint"
COUNTS = "jattn.training.counts"
EARLY_STOP = "jattn.training.early_stop"
IMPORTING = "jattn.training.importing"
INTERRUPT = "jattn.training.interrupt"
LEAVES = "jattn.training.leaves"
LOG = "jattn.training.log"
LOOP = "jattn.training.loop"
LORA = "jattn.training.lora"
LOSSES = "jattn.training.losses"
METRICS = "jattn.training.metrics"
PADDING = "jattn.training.padding"
PATTERNS = "jattn.training.patterns"
RESUME = "jattn.training.resume"
ROUND_TRIP = "jattn.training.round_trip"
SELECTION = "jattn.training.selection"
STATE = "jattn.training.state"

NO_GAIN = {"values": [0.0] * 4, "options": {"highest_is_best": True}, "best": (0.0, 2), "stale": 3}

SHARDED = "test_sharding.test_training_keeps_the_shardings_of_a_mesh_of_one_device"

MUTANTS = (
    Mutant(
        "a checkpoint that is read to one device",
        LEAVES,
        "    return jax.device_put(leaf, sharding)\n",
        "    return leaf\n",
        "test_sharding.test_a_checkpoint_is_read_with_the_shardings_of_like",
        given={"kind": "auto"},
    ),
    Mutant(
        "a count of steps that is on no mesh",
        STATE,
        "    return _on_one_mesh(state)\n",
        "    return state\n",
        SHARDED,
        given={"kind": "auto"},
    ),
    Mutant(
        "batches of a sharded array that are not sharded",
        BATCHES,
        "    return jax.device_put(np.asarray(array)[rows], sharding)\n",
        "    return np.asarray(array)[rows]\n",
        "test_sharding.test_batches_of_a_sharded_array_are_sharded",
        given={"kind": "auto"},
    ),
    Mutant(
        "a file renamed without a check",
        ATOMIC,
        "            if not _holds(partial, data):\n",
        "            if False:\n",
        "test_files.test_a_hidden_file_that_is_not_what_was_written_is_not_renamed",
        given={"damage": b"AAB"},
    ),
    Mutant(
        "a mode that is not kept",
        ATOMIC,
        "                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))\n",
        "",
        "test_files.test_an_existing_file_keeps_its_mode",
        given={"before": 0o660},
    ),
    Mutant(
        "a link replaced by a file",
        ATOMIC,
        "_replace(Path(os.path.realpath(path)), data)",
        "_replace(path, data)",
        "test_files.test_a_symbolic_link_stays_and_its_target_is_replaced",
        given={"exists": True},
    ),
    Mutant(
        "leftovers of killed writers that stay",
        ATOMIC,
        "    _remove_leftovers(target)\n",
        "",
        "test_files.test_the_files_of_killed_writers_are_removed_and_no_others",
    ),
    Mutant(
        "a row of filler that is the first example",
        BATCHES,
        "np.full(batch_size - len(leftover), -1, np.int32)",
        "np.full(batch_size - len(leftover), 0, np.int32)",
        "test_padded_batches.test_incomplete_batches_of_lists_of_features_are_filled",
    ),
    Mutant(
        "the same order in every epoch",
        BATCHES,
        "np.random.default_rng([seed, epoch]).permutation",
        "np.random.default_rng([seed, 0]).permutation",
        "test_padded_batches.test_in_the_end_no_example_is_skipped",
    ),
    Mutant(
        "a column under a name of the batch",
        BATCHES,
        '    taken = {"index": "the positions of its rows"}\n',
        "    taken = {}\n",
        "test_padded_batches.test_names_that_a_batch_has_itself_are_refused",
    ),
    Mutant(
        "padding of zeros whatever the value",
        PADDING,
        "np.full((len(arrays), length, *features), _filler(value, dtype), dtype)",
        "np.zeros((len(arrays), length, *features), dtype)",
        "test_padded_batches.test_padding_keeps_values_dtypes_and_features",
    ),
    Mutant(
        "a length mask with one position more",
        PADDING,
        "jnp.less(*",
        "jnp.less_equal(*",
        "test_padded_batches.test_the_mask_is_true_on_the_sequence_alone",
    ),
    Mutant(
        "buckets chosen by areas of all shorter sequences",
        PADDING,
        "sizes[j - 1] * (held[j] - held[i])",
        "sizes[j - 1] * held[j]",
        "test_padded_batches.test_buckets_of_many_lengths_pad_as_little_as_every_split_would",
        given={"highest": 700},
    ),
    Mutant(
        "a boolean taken for a count",
        COUNTS,
        "        if isinstance(value, bool):\n",
        "        if False:\n",
        "test_padded_batches.test_a_step_is_a_count",
        given={"step": True},
    ),
    Mutant(
        "masked tokens in the loss",
        LOSSES,
        "jnp.sum(jnp.where(mask, losses, jnp.zeros_like(losses)))",
        "jnp.sum(losses)",
        "test_losses_and_error_rates.test_cross_entropy_is_the_mean_over_the_kept_tokens",
        given={"smoothing": 0.0},
    ),
    Mutant(
        "a mean over all tokens",
        LOSSES,
        "jnp.maximum(_count(mask), 1)",
        "jnp.asarray(mask.size)",
        "test_losses_and_error_rates.test_accuracy_counts_the_kept_tokens",
    ),
    Mutant(
        "a loss in half precision",
        LOSSES,
        "        logits = logits.astype(jnp.float32)\n",
        "        pass\n",
        "test_losses_and_error_rates.test_half_precision_is_computed_in_float32",
    ),
    Mutant(
        "hits counted in half precision",
        LOSSES,
        "_count(hits & mask).astype(jnp.float32)",
        "jnp.sum(hits & mask, dtype=jnp.bfloat16).astype(jnp.float32)",
        "test_losses_and_error_rates.test_hits_are_not_counted_in_half_precision",
    ),
    Mutant(
        "insertions before the first token for nothing",
        METRICS,
        "rises_across << 1 | 1",
        "rises_across << 1",
        "test_losses_and_error_rates.test_edit_distances_of_sequences_longer_than_a_machine_word",
    ),
    Mutant(
        "the length of the longer sequence as divisor",
        METRICS,
        "        tokens += len(candidates[closest])\n",
        "        tokens += max(len(hypothesis), len(candidates[closest]))\n",
        "test_losses_and_error_rates.test_of_references_equally_close_the_first_counts",
    ),
    Mutant(
        "a frozen minus zero that changes its sign",
        SELECTION,
        "jnp.full_like(leaf, -0.0)",
        "jnp.full_like(leaf, 0.0)",
        "test_selection.test_the_two_halves_are_the_tree_and_train_as_the_mask_does",
    ),
    Mutant(
        "a path taken for a pattern",
        PATTERNS,
        "re.escape(pattern) if pattern in branches else wildcards(pattern)",
        "wildcards(pattern)",
        "test_selection.test_only_stars_and_question_marks_are_wildcards",
    ),
    Mutant(
        "a product that is not scaled",
        LORA,
        "scale * product",
        "product",
        "test_lora.test_merged_is_what_runs_beside_the_weight",
        given={"name": "gates"},
    ),
    Mutant(
        "integers wrapped around by an import",
        IMPORTING,
        "        changed = cast != array if is_exact else",
        "        changed = cast != cast if is_exact else",
        "test_importing.test_numbers_that_the_leaf_cannot_hold_are_refused",
        given={"array": np.array([1, 128]), "dtype": np.int8, "complaint": "w holds 128"},
    ),
    Mutant(
        "no gain that counts as one",
        EARLY_STOP,
        "    if gain > 0 and gain >= least_gain:\n",
        "    if gain >= least_gain:\n",
        "test_fit.test_the_best_evaluation_is_the_lowest_or_highest_by_a_least_gain",
        given=NO_GAIN,
    ),
    Mutant(
        "an early stop that never comes",
        EARLY_STOP,
        "best._replace(stale=best.stale + 1)",
        "best",
        "test_fit.test_it_stops_when_there_is_no_better_value_for_long_enough",
    ),
    Mutant(
        "arrays of jax in the place of NumPy's",
        LEAVES,
        "return array if issubclass(like, np.ndarray | np.generic) else to_jax(array)",
        "return to_jax(array)",
        "test_checkpoint.test_every_leaf_comes_back_bit_for_bit",
        given={"tree": {"array": np.arange(3.0)}},
    ),
    Mutant(
        "64 bits squeezed into 32",
        LEAVES,
        "    if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:\n",
        "    if False:\n",
        "test_checkpoint.test_64_bits_are_not_squeezed_into_32",
    ),
    Mutant(
        "a checksum of the names alone",
        CHECKPOINT,
        "        digest.update(content)\n",
        "",
        "test_checkpoint.test_a_damaged_leaf_is_named",
    ),
    Mutant(
        "a branch of every name that begins like it",
        CHECKPOINT,
        "n.startswith(below) or n == part",
        "n.startswith(part)",
        "test_checkpoint.test_a_branch_is_read_alone",
    ),
    Mutant(
        "keys of a configuration that meet",
        ROUND_TRIP,
        "        if name in values:\n",
        "        if False:\n",
        "test_checkpoint.test_metadata_that_json_cannot_say_is_refused",
    ),
    Mutant(
        "a log cut before the step of the checkpoint",
        LOG,
        '            if entry["step"] > step:\n',
        '            if entry["step"] >= step:\n',
        "test_fit.test_later_lines_and_a_torn_one_are_cut_from_the_log",
        given={"torn": ""},
    ),
    Mutant(
        "another configuration resumed with",
        RESUME,
        "            if not is_same_json(earlier.get(name), self.config.get(name)):\n",
        "            if False:\n",
        "test_fit.test_another_configuration_is_refused_by_name",
    ),
    Mutant(
        "one checkpoint too many kept",
        RESUME,
        "step - self.keep * self.every",
        "step - (self.keep + 1) * self.every",
        "test_fit.test_kept_checkpoints_of_a_run_without_an_evaluation",
    ),
    Mutant(
        "the same random numbers at every step",
        STATE,
        "jax.random.fold_in(state.rng, state.step)",
        "state.rng",
        "test_fit.test_every_step_has_random_numbers_of_its_own",
    ),
    Mutant(
        "no evaluation after the last step",
        LOOP,
        "is_evaluated = not (evaluate and (step % evaluate_every == 0 or step == steps))",
        "is_evaluated = not (evaluate and step % evaluate_every == 0)",
        "test_fit.test_the_log_has_a_line_every_so_often_and_at_the_end",
    ),
    Mutant(
        "steps lost by an error of the user",
        LOOP,
        "            if files is not None and step != saved and not at_once:\n",
        "            if False:\n",
        "test_fit.test_a_monitor_that_was_not_measured_can_be_mended",
    ),
    Mutant(
        "an evaluation that failed and is taken for done",
        LOOP,
        "        files.save(state, best, is_evaluated)\n    except",
        "        files.save(state, best, True)\n    except",
        "test_fit.test_a_monitor_that_was_not_measured_can_be_mended",
    ),
    Mutant(
        "SIGTERM swallowed",
        INTERRUPT,
        "            signal.raise_signal(signal.SIGTERM)\n",
        "            pass\n",
        "test_signals.test_sigterm_is_raised_again_at_the_end",
    ),
)
