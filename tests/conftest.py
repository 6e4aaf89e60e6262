"""Strict modes, quick compilation, and the catalog as parameters.

The parameters are `mechanism`, each `call` of each mechanism, the `hardest` call of each, or `law`.
"""

import functools
import gc
import os
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent

# Planted mistakes import the package hundreds of times, and dozens of tests start processes.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

try:
    from compiled import representatives

    from jattn.catalog import MECHANISMS, Mechanism
    from jattn.testing.laws import laws
except AttributeError as error:  # A row of a function that is not exported, and no test can run.
    from places import forgotten

    raise pytest.UsageError("\n".join(forgotten(ROOT)) or str(error)) from error

# Thousands of small programs run once or a few times each: compiling them is most of the work.
# Processes that tests start inherit the flags. One that XLA does not know ends the process.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
THOROUGHLY = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
if jax.__version_info__ < (0, 11):
    QUICKLY["xla_cpu_use_fusion_emitters"] = False
    THOROUGHLY["xla_cpu_use_fusion_emitters"] = True
QUICKLY["xla_cpu_parallel_codegen_split_count"] = 1  # The workers have the cores already.
flags = [f"--{name}={str(value).lower()}" for name, value in QUICKLY.items()]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()

# Rules of rounding, and of bits that do not change, are about what users get.
AS_USERS_GET_IT = {"C1", "I1", "M2", "M3", "N1", "N2", "N4", "R1", "S3", "S5", "T1", "X1"}
# These share what the others compile.
AS_USERS_GET_IT |= {"C2", "M1"}
THOROUGH = functools.partial(jax.jit, compiler_options=THOROUGHLY)

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
    if "law" in names:
        metafunc.parametrize("law", laws(), ids=lambda law: law.__name__)


# What a second version of Python and JAX tells nothing new about, by file, with the reason. These
# tests are marked `once`, and `-m "not once"` leaves them out, as README's test command does.
ONCE = {
    "test_agreement": "is run with other libraries, on the second version too",
    "test_alignment": "composes functions of the catalog",
    "test_article": "runs a tutorial's example in NumPy",
    "test_batched_masks": "composes masks and the engine, which other files test",
    "test_benchmark": "runs other libraries in processes of their own, a small size of each",
    "test_biases": "composes functions of the catalog",
    "test_cache": "composes masks and the engine, which other files test",
    "test_cache_parts": "composes masks and the engine, which other files test",
    "test_captions": "trains small models of an experiment",
    "test_causal": "composes masks and the engine, which other files test",
    "test_checks": "reads the reports of a command",
    "test_choosing": "trains small models of an experiment",
    "test_chunks": "composes functions of the catalog",
    "test_command": "reads what commands print",
    "test_convert": "is run with other libraries, on the second version too",
    "test_decoders": "composes functions of the catalog",
    "test_differences": "asks other libraries",
    "test_emoji": "trains small models of an experiment",
    "test_experiment_commands": "starts the commands of experiments",
    "test_explorer": "runs a page in a browser",
    "test_files": "writes and reads files",
    "test_fine_tuning": "trains small models of an experiment",
    "test_fine_tuning_pronunciation": "trains small models of an experiment",
    "test_gallery": "draws pictures",
    "test_importing": "reads files of weights",
    "test_killed_runs": "starts processes and ends them",
    "test_language": "trains small models of an experiment",
    "test_laws": "composes functions of the catalog",
    "test_layers": "reads the source",
    "test_linear": "composes functions of the catalog",
    "test_llama": "composes functions of the catalog",
    "test_masks": "compares with arrays of NumPy",
    "test_merge": "composes functions of the catalog",
    "test_museum": "reads a page",
    "test_mutations": "tests the tests",
    "test_patterns": "compares with arrays of NumPy",
    "test_pictures": "draws pictures",
    "test_places": "writes files of a mechanism and reads what is missing",
    "test_plots": "draws pictures",
    "test_pronunciation": "trains small models of an experiment",
    "test_recurrence": "composes functions of the catalog",
    "test_recurrent": "composes functions of the catalog",
    "test_results": "reads records of experiments",
    "test_scaling": "trains small models of an experiment, in several processes",
    "test_scaling_processes": "starts processes of an experiment",
    "test_search": "composes functions of the catalog",
    "test_seq2seq": "trains small models of an experiment",
    "test_signals": "sends signals to processes",
    "test_speech": "trains small models of an experiment",
    "test_statistics": "composes masks and the engine, which other files test",
    "test_transformer": "composes functions of the catalog",
    "test_translation": "trains small models of an experiment",
    "test_using_with": "is run with other libraries, on the second version too",
    "test_vision": "trains small models of an experiment",
}
# The pages whose code a second version runs too: the engine's, and what a newcomer reads first.
PAGES_OF_EVERY_VERSION = {"README.md", "docs/engine.md", "docs/flex.md", "docs/scaling.md"}


# Of these files and tests a second version runs the first row of each family alone. The rest of
# test_oracle.py, with values, first derivatives and rounding, it runs whole.
ONCE_BUT_FOR_REPRESENTATIVES = {
    *("test_axes", "test_debug", "test_derivations", "test_export", "test_extremes"),
    *("test_masking", "test_package", "test_precision", "test_symbolic_sizes", "test_symmetry"),
    *("test_transforms", "test_G3_second_derivatives_agree_in_every_order"),
}
# No JAX is in them.
OF_NUMPY = {
    "test_G1_the_pullback_of_a_merge_is_its_complex_step",
    "test_G1_the_pullback_of_attention_is_its_complex_step",
    "test_G1_the_pullback_of_the_oracle_is_its_complex_step",
}
# XLA contracts other operations in each version.
ALWAYS = {"test_X1_finite_scores_give_finite_weights_under_jit"}


def row_of(parameters):
    """Returns the row that a test is about, None if it is about none."""
    for value in parameters.values():
        row = getattr(value, "mechanism", value)
        if isinstance(row, Mechanism):
            return row
    return None


def is_run_once(item):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if ONCE_BUT_FOR_REPRESENTATIVES & {item.path.stem, getattr(item, "originalname", "")}:
        row = row_of(parameters)
        return row not in (None, *representatives()) and item.originalname not in ALWAYS
    of_a_page = item.path.stem == "test_docs" and "the_code_of_a_page" in item.name
    if of_a_page:
        return parameters["name"] not in PAGES_OF_EVERY_VERSION
    return item.path.stem in ONCE or getattr(item, "originalname", "") in OF_NUMPY


# These files share what `compiled` compiles, and come first.
SHARING = {"test_extremes", "test_masking", "test_precision", "test_symmetry"}


def pytest_collection_modifyitems(items):
    """Marks what is run once, and sorts."""
    items.sort(key=lambda item: item.path.stem not in SHARING)
    for item in items:
        if is_run_once(item):
            item.add_marker(pytest.mark.once)
    gc.freeze()  # Modules and tests stay until the end: collections need not look at them.
    gc.set_threshold(50_000, 20, 10)  # Traces make many objects and few cycles.


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_end_with_a_file(request):
    """Frees gigabytes, which collections of garbage would go through again and again."""
    yield
    if ROOT / "tests" in request.path.parents and request.path.stem not in SHARING:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def compiled_as_users_get_it(request, monkeypatch):
    """Undoes the quick compilation in the tests of these rules, which their names tell."""
    of_users = AS_USERS_GET_IT & set(request.node.originalname.split("_"))
    # `in_chunks` keeps functions that it compiles, which may not have options inside of others.
    if of_users and request.path.stem != "test_chunks":
        monkeypatch.setattr(jax, "jit", THOROUGH)
