"""Layers that most models need, as plain functions on NamedTuples."""

from jattn.layers.affine import AffineParams as AffineParams
from jattn.layers.affine import EmbeddingParams as EmbeddingParams
from jattn.layers.affine import affine as affine
from jattn.layers.affine import embedding as embedding
from jattn.layers.affine import init_affine as init_affine
from jattn.layers.affine import init_embedding as init_embedding
from jattn.layers.dropping import dropout as dropout
from jattn.layers.norms import LayerNormParams as LayerNormParams
from jattn.layers.norms import RMSNormParams as RMSNormParams
from jattn.layers.norms import init_layer_norm as init_layer_norm
from jattn.layers.norms import init_rms_norm as init_rms_norm
from jattn.layers.norms import layer_norm as layer_norm
from jattn.layers.norms import rms_norm as rms_norm
