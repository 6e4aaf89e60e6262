"""One module a library, each with what it offers: `ATTENTION` and `GRU`, by name.

A module imports its library at once, so one that is not installed raises ImportError.
"""

# The library as its module is named, and the distribution that carries the library's version.
LIBRARIES = {
    "jattn": "jattn",
    "jax": "jax",
    "flax": "flax",
    "equinox": "equinox",
    "haiku": "dm-haiku",
    "keras": "keras",
    "tokamax": "tokamax",
    "torch": "torch",
    "onnx": "onnx",
}
