"""PyTorch's own functions, layers and blocks."""

# pyright: reportMissingImports=false

import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

import jattn
from experiments.differences.agreement.entry import Entry, normal
from experiments.differences.agreement.torch_run import by_torch, load

LENGTH, MEMORY, FEATURES, HEADS, HIDDEN, SIZE = 5, 4, 6, 2, 7, 3
SCORES = normal(5, 7)
TOKENS = np.array([3, 0, 3, 7])


def entry(mechanism, function, inputs, ours, theirs, note="", differs=""):
    return Entry(mechanism, "torch", function, inputs, ours, by_torch(theirs), note, differs)


def noise() -> torch.Tensor:
    """Returns the Gumbel noise that the function draws from this seed."""
    torch.manual_seed(0)
    return -torch.empty((5, 7), dtype=torch.float64).exponential_().log()


def gumbel(scores):
    torch.manual_seed(0)
    return functional.gumbel_softmax(scores, hard=True)


NOISE = noise().numpy()

# Blocks. A vector of weights is split into the parts of each layer, in the order of the module.


def attention_parts(prefix: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.in_proj_weight": (3 * FEATURES, FEATURES),
        f"{prefix}.in_proj_bias": (3 * FEATURES,),
        f"{prefix}.out_proj.weight": (FEATURES, FEATURES),
        f"{prefix}.out_proj.bias": (FEATURES,),
    }


NETWORK = {
    "linear1.weight": (HIDDEN, FEATURES),
    "linear1.bias": (HIDDEN,),
    "linear2.weight": (FEATURES, HIDDEN),
    "linear2.bias": (FEATURES,),
}
ENCODER = attention_parts("self_attn") | NETWORK
DECODER = attention_parts("self_attn") | attention_parts("multihead_attn") | NETWORK
for block, norms in ((ENCODER, 2), (DECODER, 3)):
    block |= {
        f"norm{i + 1}.{part}": (FEATURES,) for i in range(norms) for part in ("weight", "bias")
    }


def draws(shapes):
    return tuple(normal(*shape, scale=0.5) for shape in shapes.values())


def heads_of(parts, prefix):
    """Returns parameters of jattn's heads."""
    weights = dict(zip(("query_weight", "key_weight", "value_weight"),
                       parts[f"{prefix}.in_proj_weight"].reshape(3, HEADS, SIZE, FEATURES),
                       strict=True))  # fmt: skip
    biases = dict(zip(("query_bias", "key_bias", "value_bias"),
                      parts[f"{prefix}.in_proj_bias"].reshape(3, HEADS, SIZE),
                      strict=True))  # fmt: skip
    output = parts[f"{prefix}.out_proj.weight"].reshape(FEATURES, HEADS, SIZE)
    bias = parts[f"{prefix}.out_proj.bias"]
    return jattn.MultiHeadParams(**weights, output_weight=output, **biases, output_bias=bias)


def norm_of(parts, number):
    return jattn.LayerNormParams(parts[f"norm{number}.weight"], parts[f"norm{number}.bias"])


def network_of(parts):
    names = "linear1.weight", "linear2.weight", "linear1.bias", "linear2.bias"
    return jattn.FeedForwardParams(*(parts[name] for name in names))


def encoder(order):
    def ours(*arrays):
        parts = dict(zip(ENCODER, arrays[:-1], strict=True))
        params = jattn.EncoderBlockParams(
            heads_of(parts, "self_attn"), norm_of(parts, 1), network_of(parts), norm_of(parts, 2)
        )
        return jattn.encoder_block(params, arrays[-1], order=order).outputs

    def theirs(*arrays):
        parts = dict(zip(ENCODER, arrays[:-1], strict=True))
        module = torch.nn.TransformerEncoderLayer(FEATURES, HEADS, HIDDEN, batch_first=True,
                                                  norm_first=order is jattn.pre_norm)  # fmt: skip
        return load(module, parts, arrays[-1][None])[0]

    name = f"nn.TransformerEncoderLayer(norm_first={order is jattn.pre_norm})"
    return entry("encoder_block", name, (*draws(ENCODER), normal(LENGTH, FEATURES)), ours, theirs,
                 order.__name__)  # fmt: skip


def decoder(order):
    def ours(*arrays):
        *weights, x, memory = arrays
        parts = dict(zip(DECODER, weights, strict=True))
        params = jattn.DecoderBlockParams(
            heads_of(parts, "self_attn"), norm_of(parts, 1),
            heads_of(parts, "multihead_attn"), norm_of(parts, 2),
            network_of(parts), norm_of(parts, 3),
        )  # fmt: skip
        return jattn.decoder_block(params, x, memory, order=order).outputs

    def theirs(*arrays):
        *weights, x, memory = arrays
        parts = dict(zip(DECODER, weights, strict=True))
        module = torch.nn.TransformerDecoderLayer(FEATURES, HEADS, HIDDEN, batch_first=True,
                                                  norm_first=order is jattn.pre_norm)  # fmt: skip
        mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        return load(module, parts, x[None], memory[None], tgt_mask=mask)[0]

    inputs = *draws(DECODER), normal(LENGTH, FEATURES), normal(MEMORY, FEATURES)
    name = f"nn.TransformerDecoderLayer(norm_first={order is jattn.pre_norm})"
    return entry("decoder_block", name, inputs, ours, theirs, f"{order.__name__}; a causal mask")


def cell(weight, hidden_weight, bias, hidden_bias, x, state):
    gates = lambda array: array.reshape(3, HIDDEN, *array.shape[1:])
    params = jattn.GRUParams(*map(gates, (weight, hidden_weight, bias, hidden_bias)))
    return jattn.gru_cell(params, state, x)


def cell_of_theirs(weight, hidden_weight, bias, hidden_bias, x, state):
    names = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    weights = dict(zip(names, (weight, hidden_weight, bias, hidden_bias), strict=True))
    return load(torch.nn.GRUCell(FEATURES, HIDDEN), weights, x, state)


ROWS = normal(LENGTH, FEATURES)
VECTORS = normal(LENGTH, FEATURES), normal(MEMORY, FEATURES), normal(MEMORY, 3)
CELL = (normal(3 * HIDDEN, FEATURES), normal(3 * HIDDEN, HIDDEN), normal(3 * HIDDEN),
        normal(3 * HIDDEN), normal(FEATURES), normal(HIDDEN))  # fmt: skip
ENTRIES = [
    entry("softmax", "softmax", (SCORES,), jattn.softmax, lambda scores: scores.softmax(-1)),
    entry("straight_through_softmax", "nn.functional.gumbel_softmax(hard=True)", (SCORES,),
          lambda scores: jattn.straight_through_softmax(scores + NOISE), gumbel,
          "the noise that the function draws is added to the scores"),
    entry("scaled_dot_product_attention", "nn.functional.scaled_dot_product_attention", VECTORS,
          lambda *x: jattn.scaled_dot_product_attention(*x).context,
          lambda *x: functional.scaled_dot_product_attention(*(array[None] for array in x))[0]),
    entry("embedding", "nn.Embedding", (normal(8, 3),),
          lambda rows: jattn.embedding(jattn.EmbeddingParams(rows), jnp.asarray(TOKENS)),
          lambda rows: functional.embedding(torch.tensor(TOKENS), rows)),
    entry("affine", "nn.Linear", (normal(3, FEATURES), normal(3), ROWS),
          lambda weight, bias, x: jattn.affine(jattn.AffineParams(weight, bias), x),
          lambda weight, bias, x: functional.linear(x, weight, bias)),
    entry("layer_norm", "nn.LayerNorm", (normal(FEATURES), normal(FEATURES), ROWS),
          lambda scale, bias, x: jattn.layer_norm(jattn.LayerNormParams(scale, bias), x),
          lambda scale, bias, x: functional.layer_norm(x, (FEATURES,), scale, bias)),
    entry("rms_norm", "nn.RMSNorm", (normal(FEATURES), ROWS),
          lambda scale, x: jattn.rms_norm(jattn.RMSNormParams(scale), x, epsilon=1e-6),
          lambda scale, x: functional.rms_norm(x, (FEATURES,), scale, 1e-6), "epsilon 1e-06"),
    entry("gru_cell", "nn.GRUCell", CELL, cell, cell_of_theirs),
    encoder(jattn.pre_norm),
    encoder(jattn.post_norm),
    decoder(jattn.pre_norm),
    decoder(jattn.post_norm),
]  # fmt: skip
