"""Attention in NumPy, with gradients derived by hand."""

from jattn.oracle.attention import additive as additive
from jattn.oracle.attention import attend as attend
from jattn.oracle.attention import attention_flow as attention_flow
from jattn.oracle.attention import attention_over_attention as attention_over_attention
from jattn.oracle.attention import co_attention as co_attention
from jattn.oracle.attention import concat as concat
from jattn.oracle.attention import differential as differential
from jattn.oracle.attention import dot as dot
from jattn.oracle.attention import gated as gated
from jattn.oracle.attention import general as general
from jattn.oracle.attention import graph as graph
from jattn.oracle.attention import heads as heads
from jattn.oracle.attention import hierarchical as hierarchical
from jattn.oracle.attention import latent as latent
from jattn.oracle.attention import local as local
from jattn.oracle.attention import location_based as location_based
from jattn.oracle.attention import multi_head as multi_head
from jattn.oracle.attention import query_key_clip as query_key_clip
from jattn.oracle.attention import query_key_norm as query_key_norm
from jattn.oracle.attention import scaled_dot_product as scaled_dot_product
from jattn.oracle.attention import sentinel as sentinel
from jattn.oracle.attention import slots as slots
from jattn.oracle.attention import talking_heads as talking_heads
from jattn.oracle.attention import value_residual as value_residual
