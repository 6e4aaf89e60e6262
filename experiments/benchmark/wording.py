"""The prose of docs/performance.md."""

OPENING = """# Performance

Made by `python -m experiments.benchmark` from {files}; not edited by hand.

Every row is measured for all libraries in one run. Each library has its own process, and the
processes take turns, so that all meet the same noise. Times are medians of single calls, compiled
if the library compiles, with float32 inputs in the library's own layout. Forward + backward is the
result and the gradient of every float input. A ratio is a library's time over jattn's: above 1,
jattn is faster. Every result is compared with a float64 computation.
"""

READING = """How to read it:

- Names give the family and the sizes: `b t h k` for attention, `b t s q p` for additive attention,
  `b t i n` for the GRU, and `b t`, layers, heads and the size of a head for the transformer.
- `window` has the query's own position and 256 before it, causally
  (`local_window_size=(256, 0)`). `padded` is causal with a length drawn for each example.
  `documents` packs eight documents into one sequence. `grouped` has 8 key-value heads. `soft-cap`
  is 50. `decode` is one query against 4,096 keys, for jattn in its cache. `sharded` has its batch
  on four CPU devices. `bidirectional` has a length drawn for each example.
- `transformer` is the gradient of every parameter of a stack of pre-norm blocks with GELU. jattn's
  is `transformer_encoder` with `attend=jattn.engine.attend`. jax.nn is the same model with
  `jax.nn.dot_product_attention` as `attend`. PyTorch's is `nn.TransformerEncoder`.
- `training-step` is the loss and the gradient of [the main job's model](pronunciation.md) with its
  default sizes, for 256 words of at most 12 letters.
- An error is the largest difference from float64, for attention over the last key-value head. The
  first number is the error of the output, relative to the largest entry of the same row (the output
  of one query in one head). The second number is the largest error of any gradient, relative to the
  largest entry of that gradient. PyTorch's attention on a CPU uses an exponential, `exp_u20` in its
  source, that may be off by 20 units in the last place.
- The float64 results are those of a plain formula for attention, and those of jattn's functions
  without the engine for the other rows. The tests compare these functions with NumPy oracles.
- The least time of the products is their number of multiplications and additions over the rate of
  a product of float32 matrices of 2048 x 2048, measured beside the row. Pairs that a mask hides do
  not count. A call whose share is 1 would do nothing but products.
- The best peer is the fastest library whose errors are at most 1e-3. (wrong) marks other results,
  – functions that a library lacks.
"""

VERSIONS = """The newest JAX for Python 3.11 is 0.10.2. A ratio compares two libraries in one run.
Times of different runs also differ by noise.
"""

COLLECTIVES = """Four CPU devices share two cores. A collective is an operation of the compiled
program that exchanges data between devices. Attention over a sharded batch needs none.
"""

CLOSING = """## Limits

- One machine, two threads, one run. On a GPU none of these ratios holds.
- PyTorch is not compiled. Its FlexAttention is left out, since it has no backward pass on a CPU.
- Flax nnx, Keras and ONNX Runtime are not measured at 16,384, where a mask alone takes 256 MiB.
- Tokamax is its implementation `xla_chunked`, the one for a CPU that has linear memory.
- ONNX Runtime has no gradients, and runs without the arena that a program of many calls would keep.
- Masks that a library takes as an array are made before timing; they count as memory.
- A ratio near 1 is a draw: repeat the row before drawing conclusions from a few per cent.
- Memory is the peak of one call in a fresh process, without inputs and compiled code. Values below
  10 MiB are mostly the libraries' own buffers.

## Reproduction

```sh
pip install -c constraints.txt -e '.[experiments,peers]'
python -m experiments.benchmark --list
python -m experiments.benchmark
```

The machine should be idle otherwise. The same command continues an interrupted run. `--fresh`
starts anew, `--rows` and `--peers` select rows and libraries, and `--markdown` makes this page from
the records. Each version of JAX has its own record, and the page compares those in the folder.
"""
