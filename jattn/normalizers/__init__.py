"""Normalizers: functions that map each row of scores to a row of weights.

Three see all rows at once: `slot_softmax`, `sinkhorn` and `dustbin_sinkhorn`.

Each takes `(scores [t s], mask)` and returns `weights [t s]` in the dtype of the scores. `mask` is
True where a score counts: an array, a mask of `jattn.masks`, or None where all do. A score of -inf
does not count either. Scores that do not count influence nothing, and a row without any that
counts gets weight zero everywhere. Shapes that disagree, and masks that are not boolean, raise
ValueError.
"""

from jattn.normalizers.both_axes import dustbin_sinkhorn as dustbin_sinkhorn
from jattn.normalizers.both_axes import sinkhorn as sinkhorn
from jattn.normalizers.both_axes import slot_softmax as slot_softmax
from jattn.normalizers.counted import Normalizer as Normalizer
from jattn.normalizers.entmax import entmax as entmax
from jattn.normalizers.exponential import off_by_one_softmax as off_by_one_softmax
from jattn.normalizers.exponential import scalable_softmax as scalable_softmax
from jattn.normalizers.exponential import softmax as softmax
from jattn.normalizers.exponential import softpick as softpick
from jattn.normalizers.exponential import (
    straight_through_softmax as straight_through_softmax,
)
from jattn.normalizers.exponential import top_k_softmax as top_k_softmax
from jattn.normalizers.pointwise import scaled_relu as scaled_relu
from jattn.normalizers.pointwise import sigmoid as sigmoid
from jattn.normalizers.sparse import entmax15 as entmax15
from jattn.normalizers.sparse import sparsemax as sparsemax
