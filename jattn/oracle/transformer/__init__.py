"""Transformer blocks in NumPy, with gradients derived by hand."""

from jattn.oracle.transformer import decoder_block as decoder_block
from jattn.oracle.transformer import encoder_block as encoder_block
from jattn.oracle.transformer import feed_forward as feed_forward
from jattn.oracle.transformer import gated_feed_forward as gated_feed_forward
from jattn.oracle.transformer import order as order
from jattn.oracle.transformer import set_transformer as set_transformer
