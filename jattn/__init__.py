"""The reference for attention mechanisms and GRU cells in JAX."""

from jattn import masks as masks
from jattn.attention.additive import AdditiveParams as AdditiveParams
from jattn.attention.additive import additive_attention as additive_attention
from jattn.attention.additive import init_additive as init_additive
from jattn.attention.attend import Attended as Attended
from jattn.attention.concat import ConcatParams as ConcatParams
from jattn.attention.concat import concat_attention as concat_attention
from jattn.attention.concat import init_concat as init_concat
from jattn.attention.dot import dot_attention as dot_attention
from jattn.attention.general import GeneralParams as GeneralParams
from jattn.attention.general import general_attention as general_attention
from jattn.attention.general import init_general as init_general
from jattn.attention.local import LocalPredictiveParams as LocalPredictiveParams
from jattn.attention.local import init_local_predictive as init_local_predictive
from jattn.attention.local import local_monotonic_attention as local_monotonic_attention
from jattn.attention.local import local_predictive_attention as local_predictive_attention
from jattn.attention.location_based import LocationBasedParams as LocationBasedParams
from jattn.attention.location_based import init_location_based as init_location_based
from jattn.attention.location_based import location_based_attention as location_based_attention
from jattn.attention.multi_head import MultiHeadAttended as MultiHeadAttended
from jattn.attention.multi_head import MultiHeadParams as MultiHeadParams
from jattn.attention.multi_head import init_multi_head as init_multi_head
from jattn.attention.multi_head import multi_head_attention as multi_head_attention
from jattn.attention.scaled_dot_product import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from jattn.normalizers import entmax15 as entmax15
from jattn.normalizers import off_by_one_softmax as off_by_one_softmax
from jattn.normalizers import sigmoid as sigmoid
from jattn.normalizers import softmax as softmax
from jattn.normalizers import sparsemax as sparsemax
