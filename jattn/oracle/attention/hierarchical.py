"""Hierarchical attention in NumPy, one sequence at a time, with its gradient by hand."""

import numpy as np

from jattn.oracle.normalizers import softmax


def pooling_attention(params, key, value, *, valid=None, normalizer=softmax):
    """Returns ((context, weights), pullback), as `jax.vjp` does.

    With h_s = tanh(W k_s + β), e_s = w · h_s and the weights a of e:

        da_s = dweights_s + v_s · dc        dv_s = a_s dc        dw = Σ de_s h_s
        dz_s = de_s w ∘ (1 - h_s²)          dW = Σ dz_s k_sᵀ     dβ = Σ dz_s        dk_s = Wᵀ dz_s
    """
    matrix, shift, units = params
    used = np.arange(len(key)) if valid is None else np.flatnonzero(valid)
    layer = np.array([np.tanh(matrix @ row + shift) for row in key[used]]).reshape(
        len(used), len(units)
    )
    scores = (layer @ units)[None]
    found, of_found = normalizer(scores, np.ones(scores.shape, bool))
    weights = np.zeros(len(key), np.result_type(found, key))
    weights[used] = found[0]
    context = found[0] @ value[used]

    def pullback(cotangent):
        d_context, d_weights = cotangent
        kind = np.result_type(weights, value, d_context, d_weights)
        d_key, d_value = np.zeros(key.shape, kind), np.zeros(value.shape, kind)
        d_value[used] = np.outer(found[0], d_context)
        (d_scores,) = of_found((d_weights[used] + value[used] @ d_context)[None])
        d_layer = np.outer(d_scores[0], units) * (1 - layer**2)
        d_key[used] = d_layer @ matrix
        d_params = type(params)(d_layer.T @ key[used], d_layer.sum(0), d_scores[0] @ layer)
        return d_params, d_key, d_value

    return (context, weights), pullback


def hierarchical_attention(params, words, *, valid=None, encode=None, normalizer=softmax):
    """Returns ((context, sentence_weights, word_weights), pullback), as `jax.vjp` does.

    A sentence's gradient goes back through its own pooling, and the parameters of words add up
    over the sentences. `encode(sentences)` returns (encoded, pullback).
    """
    kept = np.ones(words.shape[:2], bool) if valid is None else valid
    options = {"normalizer": normalizer}
    pooled = [
        pooling_attention(params.words, rows, rows, valid=own, **options)
        for rows, own in zip(words, kept, strict=True)
    ]
    dtype = np.result_type(words, *params.words)
    sentences = np.array([found[0] for found, _ in pooled], dtype).reshape(
        len(words), words.shape[2]
    )
    word_weights = np.array([found[1] for found, _ in pooled], dtype).reshape(words.shape[:2])
    encoded, of_encoded = (sentences, lambda d: (d,)) if encode is None else encode(sentences)
    any_word = None if valid is None else kept.any(1)
    (context, weights), of_document = pooling_attention(
        params.sentences, encoded, encoded, valid=any_word, **options
    )

    def pullback(cotangent):
        d_context, d_weights, d_word_weights = cotangent
        d_sentence_params, *d_encoded = of_document((d_context, d_weights))
        (d_sentences,) = of_encoded(d_encoded[0] + d_encoded[1])
        kind = np.result_type(dtype, d_sentences, d_word_weights)
        d_words = np.zeros(words.shape, kind)
        d_word_params = type(params.words)(*(np.zeros(x.shape, kind) for x in params.words))
        for place, (_, of_words) in enumerate(pooled):
            own, *parts = of_words((d_sentences[place], d_word_weights[place]))
            d_words[place] = parts[0] + parts[1]
            for total, part in zip(d_word_params, own, strict=True):
                total += part
        return type(params)(d_word_params, d_sentence_params), d_words

    return (context, weights, word_weights), pullback
