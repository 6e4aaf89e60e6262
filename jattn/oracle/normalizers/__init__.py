"""Normalizers in NumPy, one row at a time: masked scores are left out, never set to -inf."""

from jattn.oracle.normalizers.both_axes import dustbin_sinkhorn as dustbin_sinkhorn
from jattn.oracle.normalizers.both_axes import sinkhorn as sinkhorn
from jattn.oracle.normalizers.both_axes import slot_softmax as slot_softmax
from jattn.oracle.normalizers.entmax import entmax as entmax
from jattn.oracle.normalizers.exponential import off_by_one_softmax as off_by_one_softmax
from jattn.oracle.normalizers.exponential import scalable_softmax as scalable_softmax
from jattn.oracle.normalizers.exponential import softmax as softmax
from jattn.oracle.normalizers.exponential import softpick as softpick
from jattn.oracle.normalizers.exponential import (
    straight_through_softmax as straight_through_softmax,
)
from jattn.oracle.normalizers.exponential import top_k_softmax as top_k_softmax
from jattn.oracle.normalizers.pointwise import scaled_relu as scaled_relu
from jattn.oracle.normalizers.pointwise import sigmoid as sigmoid
from jattn.oracle.normalizers.sparse import entmax15 as entmax15
from jattn.oracle.normalizers.sparse import sparsemax as sparsemax
