"""The reference for attention mechanisms and recurrent cells in JAX."""

from importlib import import_module as _import_module

from jattn import alignment as alignment
from jattn import biases as biases
from jattn import images as images
from jattn import linear as linear
from jattn import masks as masks
from jattn import selectors as selectors
from jattn.attention.additive import AdditiveParams as AdditiveParams
from jattn.attention.additive import additive_attention as additive_attention
from jattn.attention.additive import init_additive as init_additive
from jattn.attention.attend import Attended as Attended
from jattn.attention.attention_flow import AttentionFlow as AttentionFlow
from jattn.attention.attention_flow import AttentionFlowParams as AttentionFlowParams
from jattn.attention.attention_flow import attention_flow as attention_flow
from jattn.attention.attention_flow import init_attention_flow as init_attention_flow
from jattn.attention.attention_over_attention import OverAttended as OverAttended
from jattn.attention.attention_over_attention import (
    attention_over_attention as attention_over_attention,
)
from jattn.attention.co_attention import CoAttended as CoAttended
from jattn.attention.co_attention import CoAttentionParams as CoAttentionParams
from jattn.attention.co_attention import init_co_attention as init_co_attention
from jattn.attention.co_attention import parallel_co_attention as parallel_co_attention
from jattn.attention.concat import ConcatParams as ConcatParams
from jattn.attention.concat import concat_attention as concat_attention
from jattn.attention.concat import init_concat as init_concat
from jattn.attention.contextual_position import (
    contextual_position_attention as contextual_position_attention,
)
from jattn.attention.differential import DifferentialParams as DifferentialParams
from jattn.attention.differential import differential_attention as differential_attention
from jattn.attention.differential import init_differential as init_differential
from jattn.attention.differential import initial_balance as initial_balance
from jattn.attention.dot import dot_attention as dot_attention
from jattn.attention.gated import GatedParams as GatedParams
from jattn.attention.gated import gated_attention as gated_attention
from jattn.attention.gated import init_gated as init_gated
from jattn.attention.general import GeneralParams as GeneralParams
from jattn.attention.general import general_attention as general_attention
from jattn.attention.general import init_general as init_general
from jattn.attention.graph import DynamicGraphParams as DynamicGraphParams
from jattn.attention.graph import GraphParams as GraphParams
from jattn.attention.graph import dynamic_graph_attention as dynamic_graph_attention
from jattn.attention.graph import graph_attention as graph_attention
from jattn.attention.graph import init_dynamic_graph as init_dynamic_graph
from jattn.attention.graph import init_graph as init_graph
from jattn.attention.hierarchical import HierarchicalAttended as HierarchicalAttended
from jattn.attention.hierarchical import HierarchicalParams as HierarchicalParams
from jattn.attention.hierarchical import Pooled as Pooled
from jattn.attention.hierarchical import PoolingParams as PoolingParams
from jattn.attention.hierarchical import hierarchical_attention as hierarchical_attention
from jattn.attention.hierarchical import init_pooling as init_pooling
from jattn.attention.hierarchical import pooling_attention as pooling_attention
from jattn.attention.hopfield import hopfield_attention as hopfield_attention
from jattn.attention.laser import laser_attention as laser_attention
from jattn.attention.latent import LatentMemory as LatentMemory
from jattn.attention.latent import absorbed_latent_attention as absorbed_latent_attention
from jattn.attention.latent import latent_attention as latent_attention
from jattn.attention.latent import latent_memory as latent_memory
from jattn.attention.latent_params import LatentParams as LatentParams
from jattn.attention.latent_params import init_latent as init_latent
from jattn.attention.linformer import LinformerAttended as LinformerAttended
from jattn.attention.linformer import init_linformer as init_linformer
from jattn.attention.linformer import linformer_attention as linformer_attention
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
from jattn.attention.native_sparse import NativeSparseAttended as NativeSparseAttended
from jattn.attention.native_sparse import native_sparse_attention as native_sparse_attention
from jattn.attention.nystrom import nystrom_attention as nystrom_attention
from jattn.attention.over_queries import over_queries as over_queries
from jattn.attention.query_key_clip import clip_latent_query_key as clip_latent_query_key
from jattn.attention.query_key_clip import clip_query_key as clip_query_key
from jattn.attention.query_key_norm import QueryKeyNormParams as QueryKeyNormParams
from jattn.attention.query_key_norm import init_query_key_norm as init_query_key_norm
from jattn.attention.query_key_norm import query_key_norm_attention as query_key_norm_attention
from jattn.attention.scaled_dot_product import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from jattn.attention.sentinel import SentinelAttended as SentinelAttended
from jattn.attention.sentinel import SentinelParams as SentinelParams
from jattn.attention.sentinel import init_sentinel as init_sentinel
from jattn.attention.sentinel import sentinel_attention as sentinel_attention
from jattn.attention.shaw import ShawParams as ShawParams
from jattn.attention.shaw import init_shaw as init_shaw
from jattn.attention.shaw import shaw_attention as shaw_attention
from jattn.attention.slots import SlotAttended as SlotAttended
from jattn.attention.slots import slot_attention as slot_attention
from jattn.attention.talking_heads import TalkingHeadsParams as TalkingHeadsParams
from jattn.attention.talking_heads import init_talking_heads as init_talking_heads
from jattn.attention.talking_heads import talking_heads_attention as talking_heads_attention
from jattn.attention.transformer_xl import TransformerXLParams as TransformerXLParams
from jattn.attention.transformer_xl import init_transformer_xl as init_transformer_xl
from jattn.attention.transformer_xl import transformer_xl_attention as transformer_xl_attention
from jattn.attention.value_residual import ValueResidualParams as ValueResidualParams
from jattn.attention.value_residual import init_value_residual as init_value_residual
from jattn.attention.value_residual import value_heads as value_heads
from jattn.attention.value_residual import value_residual_attention as value_residual_attention
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
from jattn.layers import AffineParams as AffineParams
from jattn.layers import EmbeddingParams as EmbeddingParams
from jattn.layers import LayerNormParams as LayerNormParams
from jattn.layers import RMSNormParams as RMSNormParams
from jattn.layers import affine as affine
from jattn.layers import dropout as dropout
from jattn.layers import embedding as embedding
from jattn.layers import init_affine as init_affine
from jattn.layers import init_embedding as init_embedding
from jattn.layers import init_layer_norm as init_layer_norm
from jattn.layers import init_rms_norm as init_rms_norm
from jattn.layers import layer_norm as layer_norm
from jattn.layers import rms_norm as rms_norm
from jattn.normalizers import dustbin_sinkhorn as dustbin_sinkhorn
from jattn.normalizers import entmax as entmax
from jattn.normalizers import entmax15 as entmax15
from jattn.normalizers import off_by_one_softmax as off_by_one_softmax
from jattn.normalizers import scalable_softmax as scalable_softmax
from jattn.normalizers import scaled_relu as scaled_relu
from jattn.normalizers import sigmoid as sigmoid
from jattn.normalizers import sinkhorn as sinkhorn
from jattn.normalizers import slot_softmax as slot_softmax
from jattn.normalizers import softmax as softmax
from jattn.normalizers import softpick as softpick
from jattn.normalizers import sparsemax as sparsemax
from jattn.normalizers import straight_through_softmax as straight_through_softmax
from jattn.normalizers import top_k_softmax as top_k_softmax
from jattn.positions import alternating_axes as alternating_axes
from jattn.positions import by_parts_frequencies as by_parts_frequencies
from jattn.positions import contiguous_axes as contiguous_axes
from jattn.positions import forgetting_bias as forgetting_bias
from jattn.positions import half_split_rotary as half_split_rotary
from jattn.positions import half_split_sinusoidal_positions as half_split_sinusoidal_positions
from jattn.positions import interleaved_axes as interleaved_axes
from jattn.positions import interpolated_frequencies as interpolated_frequencies
from jattn.positions import multi_axis_rotary as multi_axis_rotary
from jattn.positions import ntk_frequencies as ntk_frequencies
from jattn.positions import rotary as rotary
from jattn.positions import rotary_frequencies as rotary_frequencies
from jattn.positions import selective_bias as selective_bias
from jattn.positions import sinusoidal_positions as sinusoidal_positions
from jattn.positions import xpos as xpos
from jattn.positions import yarn_attention_factor as yarn_attention_factor
from jattn.positions import yarn_frequencies as yarn_frequencies
from jattn.recurrent.attention_gru import attention_gru_cell as attention_gru_cell
from jattn.recurrent.attention_gru import attention_update_gru_cell as attention_update_gru_cell
from jattn.recurrent.bahdanau import BahdanauState as BahdanauState
from jattn.recurrent.bahdanau import DecoderOutput as DecoderOutput
from jattn.recurrent.bahdanau import bahdanau_decode as bahdanau_decode
from jattn.recurrent.bahdanau import bahdanau_start as bahdanau_start
from jattn.recurrent.bahdanau import bahdanau_step as bahdanau_step
from jattn.recurrent.bidirectional import BidirectionalGRUParams as BidirectionalGRUParams
from jattn.recurrent.bidirectional import BidirectionalOutput as BidirectionalOutput
from jattn.recurrent.bidirectional import BidirectionalParams as BidirectionalParams
from jattn.recurrent.bidirectional import bidirectional as bidirectional
from jattn.recurrent.bidirectional import bidirectional_gru as bidirectional_gru
from jattn.recurrent.bidirectional import init_bidirectional as init_bidirectional
from jattn.recurrent.bidirectional import init_bidirectional_gru as init_bidirectional_gru
from jattn.recurrent.cells import GRUParams as GRUParams
from jattn.recurrent.cells import gru_cell as gru_cell
from jattn.recurrent.cells import init_gru as init_gru
from jattn.recurrent.cells import reset_before_gru_cell as reset_before_gru_cell
from jattn.recurrent.convolutional_gru import ConvolutionalGRUParams as ConvolutionalGRUParams
from jattn.recurrent.convolutional_gru import convolutional_gru_cell as convolutional_gru_cell
from jattn.recurrent.convolutional_gru import init_convolutional_gru as init_convolutional_gru
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
from jattn.recurrent.gru import GRUOutput as GRUOutput
from jattn.recurrent.gru import gru as gru
from jattn.recurrent.layer_norm_gru import LayerNormGRUParams as LayerNormGRUParams
from jattn.recurrent.layer_norm_gru import init_layer_norm_gru as init_layer_norm_gru
from jattn.recurrent.layer_norm_gru import layer_norm_gru_cell as layer_norm_gru_cell
from jattn.recurrent.linear_steps import ScannedOutput as ScannedOutput
from jattn.recurrent.lstm import LSTMParams as LSTMParams
from jattn.recurrent.lstm import LSTMState as LSTMState
from jattn.recurrent.lstm import init_lstm as init_lstm
from jattn.recurrent.lstm import lstm as lstm
from jattn.recurrent.lstm import lstm_cell as lstm_cell
from jattn.recurrent.luong import LuongState as LuongState
from jattn.recurrent.luong import luong_decode as luong_decode
from jattn.recurrent.luong import luong_start as luong_start
from jattn.recurrent.luong import luong_step as luong_step
from jattn.recurrent.min_gru import MinGRUParams as MinGRUParams
from jattn.recurrent.min_gru import init_min_gru as init_min_gru
from jattn.recurrent.min_gru import min_gru as min_gru
from jattn.recurrent.min_gru import min_gru_cell as min_gru_cell
from jattn.recurrent.min_lstm import MinLSTMParams as MinLSTMParams
from jattn.recurrent.min_lstm import init_min_lstm as init_min_lstm
from jattn.recurrent.min_lstm import min_lstm as min_lstm
from jattn.recurrent.min_lstm import min_lstm_cell as min_lstm_cell
from jattn.recurrent.reading import Memory as Memory
from jattn.recurrent.reading import read_by as read_by
from jattn.recurrent.reading_in_order import StatefulReader as StatefulReader
from jattn.recurrent.reading_in_order import read_in_order as read_in_order
from jattn.recurrent.sru import sru as sru
from jattn.recurrent.sru import sru_cell as sru_cell
from jattn.recurrent.sru_params import SRUParams as SRUParams
from jattn.recurrent.sru_params import SRUState as SRUState
from jattn.recurrent.sru_params import init_sru as init_sru
from jattn.recurrent.stacked import StackedOutput as StackedOutput
from jattn.recurrent.stacked import init_stacked as init_stacked
from jattn.recurrent.stacked import init_stacked_gru as init_stacked_gru
from jattn.recurrent.stacked import stacked as stacked
from jattn.recurrent.stacked import stacked_gru as stacked_gru
from jattn.recurrent.unroll import Unrolled as Unrolled
from jattn.recurrent.unroll import unroll as unroll
from jattn.recurrent.zoneout import ZoneoutState as ZoneoutState
from jattn.recurrent.zoneout import zoneout as zoneout
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
from jattn.transformer.set_transformer import InducedParams as InducedParams
from jattn.transformer.set_transformer import SetAttended as SetAttended
from jattn.transformer.set_transformer import SetPoolingParams as SetPoolingParams
from jattn.transformer.set_transformer import induced_set_attention as induced_set_attention
from jattn.transformer.set_transformer import init_induced as init_induced
from jattn.transformer.set_transformer import init_set_pooling as init_set_pooling
from jattn.transformer.set_transformer import pooling_by_attention as pooling_by_attention
from jattn.transformer.set_transformer import set_attention_block as set_attention_block
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
