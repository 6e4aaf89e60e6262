"""Attention in NumPy, with gradients derived by hand."""

from jattn.oracle.attention import additive as additive
from jattn.oracle.attention import attend as attend
from jattn.oracle.attention import concat as concat
from jattn.oracle.attention import contextual_position as contextual_position
from jattn.oracle.attention import dot as dot
from jattn.oracle.attention import general as general
from jattn.oracle.attention import hopfield as hopfield
from jattn.oracle.attention import laser as laser
from jattn.oracle.attention import local as local
from jattn.oracle.attention import location_based as location_based
from jattn.oracle.attention import multi_head as multi_head
from jattn.oracle.attention import scaled_dot_product as scaled_dot_product
from jattn.oracle.attention import shaw as shaw
from jattn.oracle.attention import transformer_xl as transformer_xl
