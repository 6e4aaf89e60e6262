"""The reference for attention mechanisms and GRU cells in JAX."""

from importlib import import_module as _import_module

from jattn import biases as biases
from jattn import linear as linear
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
from jattn.attention.multi_head import multi_head_attention as multi_head_attention
from jattn.attention.multi_head_params import MultiHeadParams as MultiHeadParams
from jattn.attention.multi_head_params import init_multi_head as init_multi_head
from jattn.attention.scaled_dot_product import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from jattn.caches.cache import KeyValueCache as KeyValueCache
from jattn.caches.cache import init_cache as init_cache
from jattn.caches.cache import init_rolling_cache as init_rolling_cache
from jattn.caches.cache import slot_positions as slot_positions
from jattn.caches.extend import extend_cache as extend_cache
from jattn.caches.extend import rollback_cache as rollback_cache
from jattn.chunks.in_chunks import in_chunks as in_chunks
from jattn.engine.decoding import attend_to_cache as attend_to_cache
from jattn.engine.dot_product import dot_product_attention as dot_product_attention
from jattn.engine.flex import flex_attention as flex_attention
from jattn.engine.merge import MergedAttention as MergedAttention
from jattn.engine.merge import merge_attention as merge_attention
from jattn.engine.statistics import AttentionStatistics as AttentionStatistics
from jattn.engine.statistics import attention_rows as attention_rows
from jattn.engine.statistics import attention_statistics as attention_statistics
from jattn.layers import EmbeddingParams as EmbeddingParams
from jattn.layers import LayerNormParams as LayerNormParams
from jattn.layers import LinearParams as LinearParams
from jattn.layers import RMSNormParams as RMSNormParams
from jattn.layers import affine as affine
from jattn.layers import dropout as dropout
from jattn.layers import embedding as embedding
from jattn.layers import init_embedding as init_embedding
from jattn.layers import init_layer_norm as init_layer_norm
from jattn.layers import init_linear as init_linear
from jattn.layers import init_rms_norm as init_rms_norm
from jattn.layers import layer_norm as layer_norm
from jattn.layers import rms_norm as rms_norm
from jattn.normalizers import entmax15 as entmax15
from jattn.normalizers import off_by_one_softmax as off_by_one_softmax
from jattn.normalizers import scalable_softmax as scalable_softmax
from jattn.normalizers import scaled_relu as scaled_relu
from jattn.normalizers import sigmoid as sigmoid
from jattn.normalizers import softmax as softmax
from jattn.normalizers import softpick as softpick
from jattn.normalizers import sparsemax as sparsemax
from jattn.normalizers import top_k_softmax as top_k_softmax
from jattn.positions import half_split_rotary as half_split_rotary
from jattn.positions import rotary as rotary
from jattn.positions import sinusoidal_positions as sinusoidal_positions
from jattn.recurrent.bahdanau import BahdanauState as BahdanauState
from jattn.recurrent.bahdanau import DecoderOutput as DecoderOutput
from jattn.recurrent.bahdanau import bahdanau_decode as bahdanau_decode
from jattn.recurrent.bahdanau import bahdanau_start as bahdanau_start
from jattn.recurrent.bahdanau import bahdanau_step as bahdanau_step
from jattn.recurrent.bidirectional import BidirectionalGRUParams as BidirectionalGRUParams
from jattn.recurrent.bidirectional import BidirectionalOutput as BidirectionalOutput
from jattn.recurrent.bidirectional import bidirectional_gru as bidirectional_gru
from jattn.recurrent.bidirectional import init_bidirectional_gru as init_bidirectional_gru
from jattn.recurrent.cells import GRUParams as GRUParams
from jattn.recurrent.cells import gru_cell as gru_cell
from jattn.recurrent.cells import init_gru as init_gru
from jattn.recurrent.cells import reset_before_gru_cell as reset_before_gru_cell
from jattn.recurrent.decoder_params import BahdanauDecoderParams as BahdanauDecoderParams
from jattn.recurrent.decoder_params import LuongDecoderParams as LuongDecoderParams
from jattn.recurrent.decoder_params import init_bahdanau_decoder as init_bahdanau_decoder
from jattn.recurrent.decoder_params import init_luong_decoder as init_luong_decoder
from jattn.recurrent.encoder import AttentiveGRUOutput as AttentiveGRUOutput
from jattn.recurrent.encoder import AttentiveGRUParams as AttentiveGRUParams
from jattn.recurrent.encoder import EncoderParams as EncoderParams
from jattn.recurrent.encoder import attentive_gru as attentive_gru
from jattn.recurrent.encoder import encode as encode
from jattn.recurrent.encoder import init_attentive_gru as init_attentive_gru
from jattn.recurrent.encoder import init_encoder as init_encoder
from jattn.recurrent.luong import LuongState as LuongState
from jattn.recurrent.luong import luong_decode as luong_decode
from jattn.recurrent.luong import luong_start as luong_start
from jattn.recurrent.luong import luong_step as luong_step
from jattn.recurrent.reading import Memory as Memory
from jattn.recurrent.reading import read_by as read_by
from jattn.recurrent.stacked import StackedOutput as StackedOutput
from jattn.recurrent.stacked import init_stacked_gru as init_stacked_gru
from jattn.recurrent.stacked import stacked_gru as stacked_gru
from jattn.recurrent.unroll import GRUOutput as GRUOutput
from jattn.recurrent.unroll import gru as gru
from jattn.search.beam import SearchResult as SearchResult
from jattn.search.sampling import sample as sample
from jattn.search.searches import beam_search as beam_search
from jattn.search.searches import greedy_search as greedy_search
from jattn.tracing import Trace as Trace
from jattn.tracing import trace as trace
from jattn.transformer.causal import causal_decode as causal_decode
from jattn.transformer.decoder_block import DecoderBlockOutput as DecoderBlockOutput
from jattn.transformer.decoder_block import decoder_block as decoder_block
from jattn.transformer.decoder_params import DecoderBlockParams as DecoderBlockParams
from jattn.transformer.decoder_params import init_decoder_block as init_decoder_block
from jattn.transformer.decoding import transformer_step as transformer_step
from jattn.transformer.encoder_block import EncoderBlockOutput as EncoderBlockOutput
from jattn.transformer.encoder_block import EncoderBlockParams as EncoderBlockParams
from jattn.transformer.encoder_block import encoder_block as encoder_block
from jattn.transformer.encoder_block import init_encoder_block as init_encoder_block
from jattn.transformer.feed_forward import FeedForwardParams as FeedForwardParams
from jattn.transformer.feed_forward import feed_forward as feed_forward
from jattn.transformer.feed_forward import init_feed_forward as init_feed_forward
from jattn.transformer.gated_feed_forward import GatedFeedForwardParams as GatedFeedForwardParams
from jattn.transformer.gated_feed_forward import gated_feed_forward as gated_feed_forward
from jattn.transformer.gated_feed_forward import init_gated_feed_forward as init_gated_feed_forward
from jattn.transformer.memory import TransformerMemory as TransformerMemory
from jattn.transformer.memory import transformer_memory as transformer_memory
from jattn.transformer.order import post_norm as post_norm
from jattn.transformer.order import pre_norm as pre_norm
from jattn.transformer.stack_params import TransformerDecoderParams as TransformerDecoderParams
from jattn.transformer.stack_params import TransformerEncoderParams as TransformerEncoderParams
from jattn.transformer.stack_params import init_transformer_decoder as init_transformer_decoder
from jattn.transformer.stack_params import init_transformer_encoder as init_transformer_encoder
from jattn.transformer.stacks import TransformerDecoderOutput as TransformerDecoderOutput
from jattn.transformer.stacks import TransformerEncoderOutput as TransformerEncoderOutput
from jattn.transformer.stacks import transformer_decoder as transformer_decoder
from jattn.transformer.stacks import transformer_encoder as transformer_encoder
from jattn.transformer.state import TransformerState as TransformerState
from jattn.transformer.state import transformer_start as transformer_start

__version__ = "0.1.0"

# Imported at first use: they need further packages, or most programs never use them.
_LAZY = (
    "atomic",
    "catalog",
    "convert",
    "mechanism",
    "oracle",
    "plots",
    "sharded",
    "testing",
    "training",
)


def __getattr__(name: str):
    if name in _LAZY:
        return _import_module(f"jattn.{name}")
    raise AttributeError(f"module 'jattn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
