"""The prose of docs/performance.md."""

OPENING = """# Performance

Made by `python -m experiments.benchmark` from [{file}]({file}); not edited by hand.

Every row is measured for all libraries in one run. Each library has its own process, and the
processes take turns, so that all meet the same noise. Times are medians of single calls, compiled
if the library compiles, with float32 inputs in the library's own layout. Forward + backward is the
result and the gradient of every float input. A ratio is a library's time over jattn's: above 1,
jattn is faster.
"""

READING = """How to read it:

- Names give the family and the sizes: `b t h k` for attention, `b t s q p` for additive attention,
  `b t i n` for the GRU. `window` has the query's own position and 256 before it, causally
  (`local_window_size=(256, 0)`). `padded` is causal with a length drawn for each example.
  `documents` packs eight documents into one sequence. `grouped` has 8 key-value heads. `soft-cap`
  is 50. `decode` is one query against 4,096 keys, for jattn in its cache. `bidirectional` has a
  length drawn for each example.
- `training-step` is a step of [the main job's model](pronunciation.md) with its default sizes: 256
  words of at most 12 letters, loss, gradient, clipping and Adam. The other one feeds each
  attentional vector to the next step.
- The best peer is the fastest library whose result is right: within 1e-3 of float64, relative to
  the largest entry, in the output and in each gradient. (wrong) marks other results, – functions
  that a library lacks.
- The limit is the float32 product of two 2048 × 2048 matrices, the faster of JAX's and PyTorch's
  in the same run: {limit}. The share of the limit counts only products over pairs that may attend
  to each other, forward once and backward twice.
"""

CLOSING = """## Limits

- One machine, two threads, one run. On a GPU none of these ratios holds.
- Equinox's and Haiku's attention has four projections, which are set to the identity; their time
  counts. PyTorch is not compiled, except FlexAttention, which has no backward pass on a CPU.
- Masks that a library takes as an array are made before timing; they count as memory.
- ONNX Runtime runs without its arena, which a program that calls it often would keep.
- A ratio near 1 is a draw: repeat the row before drawing conclusions from a few per cent.
- Memory is the peak of one call in a fresh process, without inputs and compiled code. Values far
  below 10 MiB are mostly the libraries' own buffers.
- Points of a curve longer than 4,096 are not compared with float64.

## Reproduction

```sh
pip install -c constraints.txt -e '.[experiments,peers]'
python -m experiments.benchmark --list
python -m experiments.benchmark
```

The machine should be idle otherwise. The same command continues an interrupted run. `--fresh`
starts anew, `--rows` and `--peers` select rows and libraries, `--check` compares results without
timing, and `--markdown` makes this page from the record.
"""
