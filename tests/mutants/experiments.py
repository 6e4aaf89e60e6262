"""Mistakes in the experiments: data, scores, models and tables."""

from mutants.mutant import Mutant

TARGETS = "test_seq2seq.test_targets_are_shifted_by_one_and_padding_does_not_count"
STEPS = "test_seq2seq.test_a_step_at_a_time_gives_the_scores_of_the_whole"
FEEDING = {"changes": {"attention": "local-predictive", "input_feeding": True}}
WORDS = "test_translation.test_weights_of_pieces_become_those_of_words"
GUIDANCE = "test_translation.test_guidance_is_the_cross_entropy_of_the_links"
ERROR = "test_fine_tuning.test_the_error_is_over_chapters_and_words_tell_groups_apart"
TASKS = "test_choosing.test_targets_are_what_the_task_says_and_fit_the_arrays"
MEASURED = "test_benchmark.test_a_wrong_result_is_never_the_best"

MUTANTS = (
    Mutant(
        "labels not shifted",
        "experiments.seq2seq",
        "return Targets(jnp.concatenate([first, tokens], axis=1), labels, mask)",
        "return Targets(jnp.concatenate([tokens, first], axis=1), labels, mask)",
        TARGETS,
    ),
    Mutant(
        "the stop does not count",
        "experiments.seq2seq",
        "(lengths + 1) * (source_lengths > 0)",
        "lengths * (source_lengths > 0)",
        TARGETS,
    ),
    Mutant(
        "a batch's fillers count",
        "experiments.seq2seq",
        "(lengths + 1) * (source_lengths > 0)",
        "lengths + 1",
        TARGETS,
    ),
    Mutant(
        "rows at a width's limit left out",
        "experiments.seq2seq",
        "if below < length <= width",
        "if below < length < width",
        "test_seq2seq.test_rows_are_padded_to_the_least_width_that_holds_them",
    ),
    Mutant(
        "scores of a search that are no log p",
        "experiments.seq2seq",
        "return jax.nn.log_softmax(logits), state",
        "return logits, state",
        STEPS,
        given=FEEDING,
    ),
    Mutant(
        "a search that reads padding",
        "experiments.seq2seq",
        "memory = jattn.encode(params.encoder, source, length=length)\n    decoder",
        "memory = jattn.encode(params.encoder, source)\n    decoder",
        STEPS,
        given={"changes": {}},
    ),
    Mutant(
        "dropout outside of training",
        "experiments.seq2seq",
        "values=dropout(rngs[1], memory.values, rate)",
        "values=dropout(jax.random.key(0), memory.values, model.dropout)",
        "test_seq2seq.test_dropout_changes_training_alone",
    ),
    Mutant(
        "local attention's scores not looked at",
        "experiments.seq2seq",
        "(model.local_scores if is_local else name)",
        "name",
        "test_seq2seq.test_sizes_that_do_not_fit_are_refused_by_name",
    ),
    Mutant(
        "nothing read from the memory",
        "experiments.attentions",
        '"general": Mechanism(plain(jattn.general_attention), init_general)',
        '"general": Mechanism(lambda sizes: read_nothing, init_general)',
        STEPS,
        given={"changes": {}},
    ),
    Mutant(
        "a warm-up twice as long",
        "experiments.optimizer",
        "int(warmup * steps)",
        "int(2 * warmup * steps)",
        "test_seq2seq.test_the_rate_rises_and_falls_and_gradients_are_clipped",
    ),
    Mutant(
        "sums of target pieces for means",
        "experiments.translation.alignment",
        " / to_target.sum(axis=1, keepdims=True)",
        "",
        WORDS,
    ),
    Mutant(
        "links to punctuation alone",
        "experiments.translation.alignment",
        "for e, (g, is_mark) in enumerate(pairs) if not is_mark",
        "for e, (g, is_mark) in enumerate(pairs) if is_mark",
        WORDS,
    ),
    Mutant(
        "an error rate of precision alone",
        "experiments.translation.alignment",
        "sum(len(a) + len(b) for a, b in pairs)",
        "sum(len(a) + len(a) for a, b in pairs)",
        "test_translation.test_alignment_error_rate_by_hand",
    ),
    Mutant(
        "guidance by pieces without a link",
        "experiments.translation.model",
        "kept = (counts > 0)",
        "kept = (counts >= 0)",
        GUIDANCE,
    ),
    Mutant(
        "probabilities of the wrong side",
        "experiments.translation.ibm",
        "np.bincount(source, counts)[source]",
        "np.bincount(kinds, counts[kinds])",
        "test_translation.test_ibm_model_1_finds_the_words_of_a_made_up_language",
    ),
    Mutant(
        "capitals kept among bare words",
        "experiments.translation.scores",
        "text.lower()",
        "text",
        "test_translation.test_scores_know_text_words_and_lengths",
    ),
    Mutant(
        "training words tested",
        "experiments.choosing.examples",
        "if part is None or task.part_of(pair[0]) == part",
        "if True",
        "test_choosing.test_no_example_is_both_trained_and_tested",
    ),
    Mutant(
        "sorted the wrong way",
        "experiments.choosing.tasks",
        "sorted(source)",
        "sorted(source, reverse=True)",
        TASKS,
        given={"name": "sort"},
    ),
    Mutant(
        "an error as if the mean were known",
        "experiments.results",
        "np.std(shares, ddof=1)",
        "np.std(shares)",
        "test_choosing.test_the_error_of_a_mean_is_that_of_its_seeds",
    ),
    Mutant(
        "a stem in two parts",
        "experiments.dictionary",
        'key = {"stem": stem, "word": str}[by]',
        "key = str",
        "test_pronunciation.test_splits_share_no_stem_and_keep_every_word",
    ),
    Mutant(
        "texts taken for independent",
        "experiments.fine_tuning.sentences.scores",
        "sums[whole] = sums.get(whole, 0.0) + float(difference)",
        "sums[len(sums)] = float(difference)",
        ERROR,
    ),
    Mutant(
        "a chapter in two parts",
        "experiments.english_bible",
        "return verse[:5]",
        "return verse",
        "test_fine_tuning.test_chapters_stay_whole_and_every_book_has_a_group",
    ),
    Mutant(
        "a wrong result is the best",
        "experiments.benchmark.summary",
        '"median" in cell and not is_wrong(cell)',
        '"median" in cell',
        MEASURED,
    ),
    Mutant(
        "NaN taken for right",
        "experiments.benchmark.checks",
        "nan=np.inf",
        "nan=0.0",
        "test_benchmark.test_errors_are_relative_to_a_row_and_to_a_gradient",
    ),
    Mutant(
        "scores without their scale",
        "experiments.article.example",
        " / np.sqrt(keys.shape[1])",
        "",
        "test_article.test_the_worked_example",
    ),
    Mutant(
        "bars that split cells",
        "experiments.results",
        'cell.replace("|", "\\\\|")',
        "cell",
        "test_results.test_a_table_is_in_line_and_its_bars_do_not_split_cells",
    ),
)
