"""Functions of each library, in a module each: `ATTENTION`, `NORMALIZERS`, `GRU`, `CONVERTED`.

A module imports its library when it is imported. Without the library it raises ImportError.
"""

# Prefixes of the modules, and the distributions whose versions are those of the libraries.
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
