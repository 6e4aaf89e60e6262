"""The museum of mistakes that public code made: which mutant is one, and the page of them.

`cd tests && python -m mutants.museum > ../docs/museum.md` writes the page.
"""

import dataclasses
import re
from collections.abc import Iterator

from jattn.testing.laws import laws
from mutants import MUTANTS, Mutant
from mutants.mutant import LAW


@dataclasses.dataclass(frozen=True)
class Report:
    """A public report of a mistake.

    `thread` is an issue or a pull request on GitHub, owner/name#number. `mistake` says in plain
    words what the code did, and `consequence` how one can see it.
    """

    thread: str
    mistake: str
    consequence: str


# By what the mutant is called.
REPORTS = {
    "entmax of order 1 that is uniform": Report(
        "deep-spin/entmax#23",
        "entmax by bisection raises to the power 1 / (alpha - 1), also where alpha is 1",
        "of order 1 all weights are equal, while 0.99999 and 1.00001 give those of softmax",
    ),
    "softmax over the queries": Report(
        "labmlai/annotated_deep_learning_paper_implementations#146",
        "softmax over the axis of queries in place of the axis of keys",
        "rows of weights do not sum to 1; the FID of images is the same with and without it",
    ),
    "masked scores at -inf": Report(
        "pytorch/pytorch#41508",
        "masked scores are set to -inf and a row may have no key left",
        "0 / 0: the row is NaN, and its gradient makes the gradient of all weights NaN",
    ),
    "masked scores at the smallest number": Report(
        "microsoft/onnxruntime#28958",
        "masked scores are set to a finite number, and a row may have no key left",
        "the row returns the mean of all values, those of padding included, in place of zero",
    ),
    "unread values left as they are": Report(
        "Dao-AILab/flash-attention#1745",
        "values past the length of a cache have a weight of 0, by which they are multiplied",
        "0 times NaN is NaN: memory that was never written shows in the output",
    ),
    "unread keys left as they are": Report(
        "pytorch/pytorch#101967",
        "scores are computed from all keys, and the mask is added to them",
        "a masked key of 1e10 changes nothing, but one of NaN makes the output NaN",
    ),
    "scores in half precision": Report(
        "Stability-AI/stablediffusion#89",
        "products of queries and keys in float16",
        "products above 65,504 become infinite, and the weights NaN",
    ),
    "no scale": Report(
        "mlc-ai/mlc-llm#3426",
        "one of two code paths does not divide the scores by the root of the head's size",
        "weights are too peaked; embeddings have a cosine of 0.86 with the reference",
    ),
    "scores multiplied by the root that should divide them": Report(
        "esceptico/perceiver-io#9",
        "scores are divided by a scale that is 1 / √k already",
        "scores are k times too large, and softmax is nearly a maximum",
    ),
    "a scale of all heads together": Report(
        "lucidrains/vit-pytorch#65",
        "the scale is that of the model's size and not of a head's",
        "scores of h heads are √h times too small",
    ),
    "a scale of the absorbed features": Report(
        "ollama/ollama#13893",
        "absorbed latent attention has the scale of its latents and not of its heads' keys",
        "1 / √576 in place of 1 / √256: output loops, and calls of tools fail",
    ),
    "a strength of normalized queries that is not applied": Report(
        "lucidrains/x-transformers#352",
        "the learned scale of normalized queries and keys is created but not applied",
        "scores are cosines, however long one trains, and the parameter has no gradient",
    ),
    "heads tiled": Report(
        "onnx/onnx#7274",
        "shared keys and values are tiled (0 1 0 1) and not repeated (0 0 1 1)",
        "query heads read the keys of another group; shapes agree, and trained weights fail",
    ),
    "packed documents that see each other": Report(
        "alex-hh/profam#495",
        "documents packed into one sequence have positions of their own but no mask",
        "copies of an earlier document are predicted with 95 % accuracy, where chance is 5 %",
    ),
    "a mask of padding that is True everywhere": Report(
        "yg211/bert_nli#3",
        "the mask of padding is made of ones, for padding as well",
        "outputs depend on how far a batch is padded; with the right mask accuracy rose",
    ),
    "an indexer without its rectifier": Report(
        "huggingface/transformers#44470",
        "the indexer of sparse attention does not set negative products of its heads to zero",
        "heads that reject a key lower its score, and other keys are selected than in training",
    ),
    "importance from the compressed blocks that follow": Report(
        "ohdearquant/lattice#6",
        "the sum of native sparse attention's equation 9 runs over + m + n in place of - m - n",
        "a selected block gets the weights of compressed blocks after it, and misses those before",
    ),
    "a window one short on the right": Report(
        "huggingface/transformers#46305",
        "`<` in place of `<=` at the right end of a window",
        "with a window of 4 later frames a query sees 3",
    ),
    "a window that is one key wider": Report(
        "huggingface/transformers#39408",
        "a number of keys is passed where a number of earlier keys is expected",
        "each query sees one key more than the model was trained with",
    ),
    "a window of a cache that is one token wider": Report(
        "ml-explore/mlx-lm#390",
        "the mask of a sliding window has one key too many, and the rolling cache does not",
        "the prompt and the steps that follow it disagree",
    ),
    "a window that the steps of decoding forget": Report(
        "unslothai/unsloth#8253",
        "one of several code paths does not get the size of the window",
        "sequences longer than the window are read as a whole, without an error",
    ),
    "queries after a cache that count from its first token": Report(
        "onnx/onnx#8068",
        "the causal mask of queries that follow a cache is aligned with its first key",
        "the first new query sees one key, although the whole cache precedes it",
    ),
    "a ring that is rolled back as if nothing were overwritten": Report(
        "ml-explore/mlx-swift-lm#584",
        "a rolling cache that has wrapped is trimmed by counting down",
        "rejected tokens stay and overwritten ones are taken for kept: text degrades silently",
    ),
    "slopes that start at one": Report(
        "paiml/aprender#2143",
        "the exponent of ALiBi's slopes counts heads from 0",
        "the first of 8 slopes is 1 where the paper prints 1/2",
    ),
    "slopes of one sequence for any number of heads": Report(
        "ml-explore/mlx#3071",
        "ALiBi's slopes of one geometric sequence where heads are no power of two",
        "weights trained with the authors' slopes get others; with 8 or 16 heads nothing shows",
    ),
    "an exponent of the feature in place of its pair": Report(
        "shenweichen/DeepCTR#379",
        "the exponent of a sinusoid is 2 i / d with i the feature and not the pair",
        "frequencies fall twice as fast, half of them below 1 / 10,000",
    ),
    "frequencies rounded to half precision": Report(
        "sgl-project/sglang-jax#1472",
        "rotary frequencies are cast to bfloat16 before they are multiplied by positions",
        "at position 4,095 outputs are wrong by up to 0.83; at position 1 by a rounding error",
    ),
    "a halved rotation of neighbours": Report(
        "NeuraLegion/shainet#111",
        "neighbouring features are rotated, with weights of a model that pairs halves",
        "the first token is right, since its angle is 0, and the text soon turns to garbage",
    ),
    "a factor of YaRN that is squared": Report(
        "sgl-project/sglang#33558",
        "YaRN's factor of attention is taken for a multiplier of itself",
        "2.2058 in place of 1.4852 for a factor of 128: 20 points of GSM8K",
    ),
    "keys after the query at the distance of a key before it": Report(
        "espnet/espnet#2816",
        "the shift of Transformer-XL, made for causal attention, in an encoder that sees all keys",
        "keys after the query get other distances; the error rates of speech stay 4.6 and 5.1",
    ),
    "sines of the absolute distance": Report(
        "speechbrain/speechbrain#3070",
        "sines of negative distances are those of positive ones",
        "a key one step ahead and a key one step behind have the same bias",
    ),
    "a bias inside the soft cap": Report(
        "onnx/onnx#7865",
        "the soft cap is applied after the mask or bias was added",
        "-inf becomes minus the cap, so that masked keys get weight",
    ),
    "a soft cap that multiplies the scores by the hyperbolic tangent": Report(
        "unslothai/unsloth-zoo#593",
        "x tanh(x / cap) in place of cap tanh(x / cap)",
        "large scores are not capped, and small ones become positive",
    ),
    "a soft cap that the steps of decoding forget": Report(
        "sgl-project/sglang#33915",
        "the soft cap is passed to an argument that is ignored",
        "the model runs uncapped and without an error",
    ),
    "the engine without the sinks": Report(
        "vllm-project/vllm#52156",
        "a keyword argument with the sinks is accepted and dropped",
        "every softmax of the model is wrong, and its text is empty or repeats a sign",
    ),
    "a sink that the maximum forgets": Report(
        "Dao-AILab/flash-attention#2752",
        "a sink is added to the denominator but takes no part in the maximum",
        "a row without keys has a log-sum-exp of NaN, a sink of 100 one of infinity",
    ),
    "a log-sum-exp to the base of two": Report(
        "lightseekorg/tokenspeed#571",
        "a kernel that computes with powers of two returns the logarithm to that base",
        "the output is right, and merging it with another part is wrong by a factor 1 / ln 2",
    ),
    "a variance with one feature less": Report(
        "harvardnlp/annotated-transformer#119",
        "layer norm with the deviation of a sample, over d - 1",
        "outputs are smaller by √(1 - 1 / d): 13 % for 4 features, nothing to see for 512",
    ),
    "the stabilizer outside the root": Report(
        "hyunwoongko/transformer#7",
        "layer norm divides by the deviation plus epsilon, not by the root of variance + epsilon",
        "features that are nearly equal get another size",
    ),
    "a root of the sum of squares": Report(
        "tenstorrent/tt-mlir#8798",
        "the sum of squares is taken for their mean in RMS norm",
        "outputs are smaller by the root of the number of features",
    ),
    "a root that multiplies": Report(
        "mosaicml/llm-foundry#371",
        "RMS norm divides by the reciprocal of the root",
        "outputs grow with the square of the inputs, and training diverges",
    ),
    "a variance in place of the mean square": Report(
        "keras-team/keras#21234",
        "RMS norm that subtracts the mean in its denominator",
        "inputs with a mean other than 0 come out too large",
    ),
    "a residual connection of normalized inputs": Report(
        "Howuhh/faster-trajectory-transformer#3",
        "norm(x) + sublayer(norm(x)) in place of x + sublayer(norm(x))",
        "no path through a stack is the identity, and published weights were trained so",
    ),
    "a residual connection that adds the outputs to themselves": Report(
        "kyegomez/BitNet#32",
        "the result is stored under the name of the inputs, and then x + x is the residual sum",
        "a sublayer that returns zero loses its inputs",
    ),
    "a swish without its gate": Report(
        "google-research/timesfm#493",
        "SwiGLU is mapped to the swish of one projection",
        "there is no product of two projections, and no error",
    ),
    "the activation of the hidden units and not of the gates": Report(
        "ooples/AiDotNet.Tensors#46",
        "the activation is applied to the values and not to the gates (found in a review)",
        "weights of other libraries give other outputs",
    ),
    "a product of chances that includes the key's own": Report(
        "j-min/MoChA-pytorch#2",
        "the product of the chances of going on includes the key's own",
        "weights are too small by that chance, and a certain stop has weight 0",
    ),
    "coverage that sums the weights of a query, which is always one": Report(
        "OpenNMT/CTranslate2#906",
        "the coverage penalty sums rows of the attention matrix in place of columns",
        "rows sum to 1, so the penalty changes no score",
    ),
    "one vector for both nodes of a pair": Report(
        "pyg-team/pytorch_geometric#1642",
        "graph attention scores both nodes of a pair with one vector",
        "the second half of the parameters has no gradient",
    ),
    "places without their sigmoid": Report(
        "Peachypie98/CBAM#2",
        "CBAM multiplies by the convolution of the places and not by its sigmoid",
        "factors are negative or above 1",
    ),
    "maxima that the network does not see": Report(
        "MenghaoGuo/Awesome-Vision-Attentions#32",
        "CBAM's maximum over the places is computed, and the mean is added twice",
        "the maximum has no effect",
    ),
    "padded keys in the denominator": Report(
        "fla-org/flash-linear-attention#1263",
        "padded values are masked, and padded keys stay in the sum of the denominator",
        "padding changes the outputs of other steps by 73 %, and padded inputs have a gradient",
    ),
    "a denominator that is not summed over the steps": Report(
        "fla-org/flash-linear-attention#594",
        "the keys of the denominator are summed over the heads and not over the steps",
        "weights do not sum to 1",
    ),
    "a candidate without the reset gate": Report(
        "zhiyongc/GRU-D#2",
        "the candidate of a GRU is computed from the state without its reset gate",
        "the reset gate has no effect, and its weights no gradient",
    ),
    "the reset before the product": Report(
        "microsoft/onnxscript#2852",
        "a GRU that resets after the product is exported as one that resets before it",
        "outputs differ by 0.1, not by rounding",
    ),
    "gates read in jattn's order": Report(
        "keras-team/keras#15915",
        "weights of a GRU are copied to another library without reordering the gates",
        "outputs are close but not equal, while the same code is right for an LSTM",
    ),
    "gates of ONNX in the order of PyTorch": Report(
        "CrispStrobe/CrispASR#106",
        "the gates of an LSTM of ONNX are read in the order of PyTorch",
        "all speakers of a recording become one",
    ),
    "zoneout whose output is the cell's own": Report(
        "rwth-i6/returnn#1313",
        "zoneout changes the state that a step passes on, and not the output of the step",
        "the output and the state of a step differ, which no equation of the paper allows",
    ),
    "padding that moves the state of a cell of one's own": Report(
        "keras-team/keras#1300",
        "a masked step has inputs of zero, from which the cell computes a new state as from any",
        "the biases move the state, and by how much depends on the amount of padding",
    ),
    "both directions forwards": Report(
        "stanfordmlgroup/nlc#8",
        "both directions of a bidirectional network get their inputs in the same order",
        "an output does not depend on later inputs",
    ),
    "valid steps that nobody asks for": Report(
        "deeplearning4j/deeplearning4j#1030",
        "the backward direction starts in the padding of shorter sequences",
        "outputs of a sequence depend on how far it is padded",
    ),
    "attention before the step": Report(
        "mkolod/mxnet_seq2seq#4",
        "Luong's attention with the state of the step before",
        "the context of a step does not depend on the word that the step reads",
    ),
    "one length of all hypotheses in the penalty": Report(
        "OpenNMT/OpenNMT-tf#456",
        "the length penalty of all hypotheses is that of the current step",
        "scores are divided by one number, so the penalty changes no order",
    ),
    "a search that ends with its best hypothesis": Report(
        "joeynmt/joeynmt#148",
        "beam search ends as soon as the best hypothesis has its stop token",
        "with a length penalty a longer hypothesis with a higher score is not found",
    ),
    "a sequence that goes on after its stop": Report(
        "facebookresearch/ParlAI#2058",
        "hypotheses are extended after their stop token",
        "several stop tokens at the end; the beam is in effect smaller",
    ),
    "hypotheses one token shorter than they are": Report(
        "awslabs/sockeye#483",
        "lengths of hypotheses are one too small",
        "the length says 50 where 51 tokens stand",
    ),
    "a temperature that divides twice": Report(
        "RL-Align/RL-Kernel#81",
        "logits are divided by the temperature in the caller and in one backend",
        "samples are those of the temperature squared; at temperature 1 nothing shows",
    ),
    "a nucleus without its last token": Report(
        "Biohub/esm#360",
        "nucleus sampling drops the token with which the sum reaches p",
        "of 0.4, 0.3, 0.2, 0.1 with p = 0.8 two tokens are kept, with 0.7 of the probability",
    ),
    "the same random numbers at every step": Report(
        "elixir-nx/axon#423",
        "the random keys of dropout are fixed when a model is built",
        "the same units are dropped at every step",
    ),
    "the same order in every epoch": Report(
        "facebookresearch/ClassyVision#118",
        "the number of the epoch does not reach the shuffling",
        "every epoch has the same batches",
    ),
    "a mean over all tokens": Report(
        "radixark/miles#2796",
        "the divisor of a masked loss counts one token for a sample that is masked as a whole",
        "gradients shrink with the number of masked samples: by 20 % in the example",
    ),
    "the length of the longer sequence as divisor": Report(
        "benwbrum/fromthepage#5629",
        "word errors are divided by the length of the longer of reference and hypothesis",
        "no rate exceeds 1, and words that were added count less",
    ),
    "a mean of error rates": Report(
        "sdrobert/pydrobert-pytorch#50",
        "a mean of the error rates of sequences in place of all errors over all tokens",
        "short references count as much as long ones",
    ),
    "a product that is not scaled": Report(
        "hao-ai-lab/FastVideo#870",
        "merging LoRA weights does not multiply the product by alpha / rank",
        "the merged model differs from the one that was trained unless alpha equals rank",
    ),
    "an initial state that passes through the candidate's function": Report(
        "lucidrains/minGRU-pytorch#9",
        "the parallel form of the minimal GRU passes the initial state through the function that "
        "makes candidates positive; the form by steps uses it as it is",
        "with an initial state the two forms differ by up to 0.3 in the thread's example",
    ),
    "attention that opens the gate of the old state": Report(
        "alibaba/ai-matrix#103",
        "the gate that keeps the old state is multiplied by 1 - attention, in place of the gate of "
        "the candidate by attention",
        "an input with a weight of zero still changes the state, as a GRU without attention would",
    ),
    "a product scaled by alpha alone": Report(
        "Blaizzy/mlx-vlm#845",
        "LoRA products are multiplied by alpha and not by alpha / rank",
        "updates are 8 times too large with the default rank of 8",
    ),
}

# Parts of the page, by the modules of their mutants.
PARTS = {
    "Weights and scores": ("normalizers", "attention"),
    "Masks and selectors": ("masks", "selectors", "engine.forms", "engine.decoding", "caches"),
    "Positions": ("biases", "positions", "attention.transformer_xl"),
    "Alignment": ("alignment",),
    "Linear recurrences": ("linear",),
    "Graphs and images": ("attention.graph", "images"),
    "Soft caps, sinks and log-sum-exp": ("engine",),
    "Norms, residuals and feed-forward networks": ("layers", "transformer"),
    "Recurrent networks": ("recurrent", "convert"),
    "Search and sampling": ("search",),
    "Training": ("training",),
}


def page() -> str:
    """Returns the page in Markdown, a table for each part."""
    lines = [INTRODUCTION]
    exhibits = [(mutant, REPORTS[mutant.what]) for mutant in MUTANTS if mutant.what in REPORTS]
    for title, of_part in _by_part(exhibits):
        lines += [f"\n## {title}\n", HEADER]
        lines += [_row(mutant, report) for mutant, report in of_part]
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
# A museum of mistakes

Mistakes that public implementations of attention made. For each there is a mutant: jattn with the
same mistake planted at the same step, by a text of a few lines. The test suite must fail on it, and
the third column names the test that does. The code of the projects is another, so the mutant is a
mistake of the same kind and not their code. The threads say which have been fixed.

Most of these mistakes are in conventions: which axis, from where one counts, what is scaled. Shapes
agree, so no error shows. `python -m pytest tests/test_mutations.py` plants them
all, and [laws](laws.md) holds properties that find such mistakes in any code.
`cd tests && python -m mutants.museum` prints this page."""

HEADER = """\
| Mistake | Where | Noticed by | How one sees it |
|---|---|---|---|"""


def _by_part(
    exhibits: list[tuple[Mutant, Report]],
) -> Iterator[tuple[str, list[tuple[Mutant, Report]]]]:
    titles = [_part(mutant) for mutant, _ in exhibits]
    for title in PARTS:
        yield title, [x for x, of in zip(exhibits, titles, strict=True) if of == title]


def _part(mutant: Mutant) -> str:
    """Returns the part whose module is named most closely."""
    if "soft cap" in mutant.what or "sink" in mutant.what:
        return "Soft caps, sinks and log-sum-exp"
    module = mutant.module.removeprefix("jattn.")
    named = [(x, title) for title, names in PARTS.items() for x in names if module.startswith(x)]
    return max(named)[1]  # Of names that a module begins with, the longest is the largest.


def _row(mutant: Mutant, report: Report) -> str:
    repository, number = report.thread.split("#")
    link = f"[{report.thread}](https://github.com/{repository}/issues/{number})"
    return f"| {report.mistake} | {link} | {_words(mutant)} | {report.consequence} |"


def _words(mutant: Mutant) -> str:
    """Returns the law, or the name of the test as words without the numbers of its rules."""
    if mutant.test == LAW:
        stated = [law.__doc__ or "" for law in laws() if law.__name__ == mutant.row]
        name, statement = stated[0].split(": ", 1)
        statement = statement.removesuffix(".").replace("|", "\\|")
        return f"a law of `{name}`: {statement}"
    name = mutant.test.partition(".test_")[2]
    words = re.sub(r"^([A-Z]\d_)+", "", name).replace("_", " ")
    return words + (f" (`{mutant.row}`)" if mutant.row else "")


if __name__ == "__main__":
    print(page(), end="")
