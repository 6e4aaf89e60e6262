"""Mistakes that public code made, planted at the same step of jattn: see `mutants.museum`."""

import numpy as np

from mutants.mutant import DEFINITION, ENGINE, LAW, VALUE, Mutant

BLOCK = "jattn.engine.block"
DECODING = "jattn.engine.decoding"
NORMS = "jattn.layers.norms"
ORDER = "jattn.transformer.order"
BEAM = "jattn.search.beam"
SINKS = np.array([0.5, -1.0, 2.0, 0.0, -3.0, 1.0])
CAPPED = {"options": {"chunk_size": 4, "logits_soft_cap": 1.5, "sinks": SINKS, "scale": 0.3}}
STEPS = "test_cache.test_S1_S3_steps_give_the_full_causal_pass"
WINDOW_OF_CACHE = "test_cache.test_masks_windows_and_biases_are_those_of_a_full_pass"
ENUMERATION = "test_search.test_a_beam_that_holds_everything_finds_what_enumeration_finds"
SAMPLES = "test_search.test_samples_are_of_the_distribution_that_temperature_top_k_and_top_p_define"
SQUARE = "    square = (inputs**2).sum(-1, keepdims=True) / max(inputs.shape[-1], 1)\n"
BEFORE = "    outputs, result = sublayer(norm(inputs))\n    return inputs + outputs, result\n"
COUNTED = """\
        edits += distances[closest]
        tokens += len(candidates[closest])
"""

MUTANTS = (
    Mutant(
        "scores multiplied by the root that should divide them",
        "jattn.attention.scaled_dot_product",
        "max(query.shape[-1], 1) ** -0.5",
        "max(query.shape[-1], 1) ** 0.5",
        VALUE,
        "scaled_dot_product_attention",
        call=0,
    ),
    Mutant(
        "a scale of all heads together",
        "jattn.attention.multi_head_parts",
        "max(query_heads.shape[-1], 1) ** -0.5",
        "max(query_heads.shape[0] * query_heads.shape[-1], 1) ** -0.5",
        VALUE,
        "multi_head_attention",
        call=0,
    ),
    Mutant(
        "packed documents that see each other",
        "jattn.masks.patterns",
        "jnp.asarray(query_ids)[queries] == jnp.asarray(key_ids)[keys]",
        "(jnp.asarray(query_ids)[queries] == jnp.asarray(key_ids)[keys]) | True",
        DEFINITION,
        given={"name": "segments"},
    ),
    Mutant(
        "a mask of padding that is True everywhere",
        "jattn.masks.algebra",
        "    valid = keys < key_lengths\n",
        "    valid = keys >= 0\n",
        LAW,
        "padded_is_packed",
    ),
    Mutant(
        "slopes of one sequence for any number of heads",
        "jattn.biases.linear",
        "np.concatenate([_geometric(smaller), larger[: heads - smaller]])",
        "_geometric(heads)",
        "test_biases.test_slopes_are_those_that_are_printed",
    ),
    Mutant(
        "an exponent of the feature in place of its pair",
        "jattn.positions.sinusoids",
        "frequencies_of(d, base)",
        "frequencies_of(d, base) ** 2",
        "test_positions.test_N3_sinusoids_are_those_of_their_positions",
        given={"offset": 17},
    ),
    Mutant(
        "frequencies rounded to half precision",
        "jattn.positions.rotation",
        "frequencies = frequencies_of(features, base)",
        "frequencies = frequencies_of(features, base).astype(inputs.dtype).astype(float)",
        "test_positions.test_N3_angles_are_exact_far_out_whatever_the_dtype",
        given={"dtype": "bfloat16"},
    ),
    Mutant(
        "a soft cap that multiplies the scores by the hyperbolic tangent",
        "jattn.engine.scores",
        "settings.cap * jnp.tanh(",
        "scores * jnp.tanh(",
        ENGINE,
        given={"path": "default", "name": "everything"},
    ),
    Mutant(
        "a soft cap that the steps of decoding forget",
        DECODING,
        "cap = None if logits_soft_cap is None else float(logits_soft_cap)",
        "cap = None",
        STEPS,
        given=CAPPED,
    ),
    Mutant(
        "a window that the steps of decoding forget",
        DECODING,
        "[window(*call.local_window_size)]",
        "[]",
        WINDOW_OF_CACHE,
    ),
    Mutant(
        "queries after a cache that count from its first token",
        DECODING,
        "offset = jnp.where(chunk_size == t, chunk_start, length - t)",
        "offset = jnp.zeros_like(length)",
        STEPS,
        given={"options": {}},
    ),
    Mutant(
        "a log-sum-exp to the base of two",
        BLOCK,
        "jnp.where(total == 0.0, -jnp.inf, maximum + jnp.log(safe))",
        "jnp.where(total == 0.0, -jnp.inf, (maximum + jnp.log(safe)) / 0.6931471805599453)",
        ENGINE,
        given={"path": "default", "name": "window"},
    ),
    Mutant(
        "a sink that the maximum forgets",
        BLOCK,
        "maximum if sinks is None else jnp.maximum(maximum, sinks)",
        "maximum",
        ENGINE,
        given={"path": "default", "name": "everything"},
    ),
    Mutant(
        "the stabilizer outside the root",
        NORMS,
        "centred / jnp.sqrt(variance + epsilon)",
        "centred / (jnp.sqrt(variance) + epsilon)",
        VALUE,
        "layer_norm",
    ),
    Mutant(
        "a root that multiplies",
        NORMS,
        "inputs / jnp.sqrt(square + epsilon)",
        "inputs * jnp.sqrt(square + epsilon)",
        VALUE,
        "rms_norm",
    ),
    Mutant(
        "a variance in place of the mean square",
        NORMS,
        SQUARE,
        "    centred = inputs - inputs.mean(-1, keepdims=True)\n"
        "    square = (centred**2).mean(-1, keepdims=True)\n",
        VALUE,
        "rms_norm",
    ),
    Mutant(
        "a residual connection of normalized inputs",
        ORDER,
        BEFORE,
        "    inputs = norm(inputs)\n"
        "    outputs, result = sublayer(inputs)\n"
        "    return inputs + outputs, result\n",
        VALUE,
        "encoder_block",
        call=1,
    ),
    Mutant(
        "a residual connection that adds the outputs to themselves",
        ORDER,
        BEFORE,
        BEFORE.replace("inputs + outputs", "outputs + outputs"),
        VALUE,
        "encoder_block",
        call=1,
    ),
    Mutant(
        "a swish without its gate",
        "jattn.transformer.gated_feed_forward",
        "    hidden = gates * ",
        "    hidden = gates + 0.0 * ",
        VALUE,
        "gated_feed_forward",
    ),
    Mutant(
        "a candidate without the reset gate",
        "jattn.recurrent.cells",
        '"m,nm->n", reset * hidden, weight[2])',
        '"m,nm->n", hidden, weight[2])',
        VALUE,
        "reset_before_gru_cell",
    ),
    Mutant(
        "the reset before the product",
        "jattn.recurrent.cells",
        "    candidate = jnp.tanh(projected[2] + reset * recurrent[2])\n",
        '    product = jnp.einsum("m,nm->n", reset * hidden, params.hidden_weight[2])\n'
        "    candidate = jnp.tanh(projected[2] + product + params.hidden_bias[2])\n",
        VALUE,
        "gru_cell",
    ),
    Mutant(
        "one length of all hypotheses in the penalty",
        BEAM,
        "    counts = jnp.where(beam.stopped, beam.counts, beam.count + 1)\n",
        "    counts = jnp.zeros_like(beam.counts) + beam.count + 1\n",
        ENUMERATION,
        given={"name": "length penalty"},
    ),
    Mutant(
        "a search that ends with its best hypothesis",
        BEAM,
        "jnp.any(~self.stopped & ~self.broken & (self.totals > -jnp.inf))",
        "(~self.stopped & ~self.broken & (self.totals > -jnp.inf))[0]",
        ENUMERATION,
        given={"name": "length penalty"},
    ),
    Mutant(
        "hypotheses one token shorter than they are",
        BEAM,
        "beam.count + 1 - stops.astype(jnp.int32)",
        "beam.count - stops.astype(jnp.int32)",
        ENUMERATION,
        given={"name": "plain"},
    ),
    Mutant(
        "a temperature that divides twice",
        "jattn.search.sampling",
        "logits / jnp.asarray(temperature, logits.dtype)",
        "logits / jnp.asarray(temperature, logits.dtype) ** 2",
        SAMPLES,
        given={"temperature": 0.5, "top_k": 2, "top_p": 1.0},
    ),
    Mutant(
        "a mean of error rates",
        "jattn.training.metrics",
        COUNTED,
        "        edits += distances[closest] / len(candidates[closest])\n        tokens += 1\n",
        "test_losses_and_error_rates.test_the_closest_reference_counts_and_its_length_divides",
    ),
    Mutant(
        "a product scaled by alpha alone",
        "jattn.training.lora",
        "scale * product",
        "scale * rank * product",
        "test_lora.test_merged_is_what_runs_beside_the_weight",
        given={"name": "gates"},
    ),
    Mutant(
        "coverage that sums the weights of a query, which is always one",
        "jattn.alignment.coverage_loss",
        "jnp.cumsum(jnp.concatenate([start, weights]), axis=0)[:-1]",
        "jnp.concatenate([start, weights]).sum(1, keepdims=True)[:-1] + 0.0 * weights",
        VALUE,
        "coverage_loss",
    ),
    Mutant(
        "entmax of order 1 that is uniform",
        "jattn.normalizers.entmax",
        "jnp.exp(top + inner * _log1p_ratio(scaled))",
        "jnp.exp(top + jnp.log1p(scaled) / _divisor(power))",
        LAW,
        "entmax_has_softmax_entmax15_and_sparsemax_as_its_orders",
    ),
    Mutant(
        "keys after the query at the distance of a key before it",
        "jattn.attention.transformer_xl",
        "jnp.arange(t)[:, None] - jnp.arange(s)[None] + s",
        "(jnp.arange(t)[:, None] - jnp.arange(s)[None]) % s + s",
        VALUE,
        "transformer_xl_attention",
        call=0,
    ),
    Mutant(
        "sines of the absolute distance",
        "jattn.attention.transformer_xl",
        "distances = jnp.arange(t + s) - (s - jnp.asarray(as_number(offset)).astype(int))",
        "distances = jnp.abs(jnp.arange(t + s) - (s - jnp.asarray(as_number(offset)).astype(int)))",
        VALUE,
        "transformer_xl_attention",
        call=0,
    ),
    Mutant(
        "a factor of YaRN that is squared",
        "jattn.positions.yarn",
        "return 0.1 * strength * math.log(factor) + 1.0 if",
        "return (0.1 * strength * math.log(factor) + 1.0) ** 2 if",
        LAW,
        "yarn_has_the_published_factors",
    ),
    Mutant(
        "places without their sigmoid",
        "jattn.images.cbam",
        "jax.nn.sigmoid(convolved)",
        "convolved",
        VALUE,
        "cbam",
    ),
    Mutant(
        "one vector for both nodes of a pair",
        "jattn.attention.graph",
        "(params.score_weight[0], query), (params.score_weight[1], key)",
        "(params.score_weight[0], query), (params.score_weight[0], key)",
        VALUE,
        "graph_attention",
    ),
    Mutant(
        "a scale of the absorbed features",
        "jattn.attention.latent",
        "    weights = _weights(params, scores, scale, mask, bias, normalizer)\n    read = ",
        "    if scale is None:\n"
        "        scale = (latent.shape[1] + rotary.shape[1]) ** -0.5\n"
        "    weights = _weights(params, scores, scale, mask, bias, normalizer)\n    read = ",
        VALUE,
        "absorbed_latent_attention",
        call=0,
    ),
    Mutant(
        "a strength of normalized queries that is not applied",
        "jattn.attention.query_key_norm",
        "params.strength * _unit(heads.query)",
        "_unit(heads.query)",
        VALUE,
        "query_key_norm_attention",
    ),
    Mutant(
        "a denominator that is not summed over the steps",
        "jattn.linear.attention",
        "    outputs = sums / ",
        "    totals = (_features(query) * _features(key)).sum(1, keepdims=True)\n"
        "    outputs = sums / ",
        VALUE,
        "linear_attention",
    ),
)
