"""Strict modes, and the catalog as parameters: `mechanism`, each of its `call`s, or the hardest."""

import jax

from jattn.catalog import MECHANISMS

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_generate_tests(metafunc):
    names = set(metafunc.fixturenames)
    if "call" in names:
        calls = [call for mechanism in MECHANISMS for call in mechanism.calls()]
        metafunc.parametrize("call", calls, ids=lambda call: call.name)
    if "hardest" in names:
        metafunc.parametrize("hardest", [m.hardest() for m in MECHANISMS], ids=lambda c: c.name)
    if "mechanism" in names:
        metafunc.parametrize("mechanism", MECHANISMS, ids=lambda m: m.name)
