"""The function that attends for the heads of an experiment's transformer, by name."""

from typing import Any

import jattn

# Of training and of decoding. At the sizes of these experiments the dense form is as fast or
# faster; from about 100 positions on the engine trains faster.
ATTENDS: dict[str, tuple[Any, Any]] = {
    "dense": (None, None),
    "engine": (jattn.engine.attend, jattn.engine.attend_with_cache),
}
CHOICES = tuple(ATTENDS)
HELP = "dense: with the weights of all pairs; engine: jattn.engine.attend, in linear memory"
