"""Conversion of GRU, LSTM and multi-head attention weights to and from other libraries.

`<part>_to_<library>(params)` returns a dict of NumPy arrays under the library's own names.
`<part>_from_<library>(weights)` reads such a dict. The libraries are not imported. Parameters that
a library cannot represent raise ValueError; all others compute the same function there.
"""

from jattn.convert.equinox import gru_from_equinox as gru_from_equinox
from jattn.convert.equinox import gru_to_equinox as gru_to_equinox
from jattn.convert.equinox import multi_head_from_equinox as multi_head_from_equinox
from jattn.convert.equinox import multi_head_to_equinox as multi_head_to_equinox
from jattn.convert.haiku import gru_from_haiku as gru_from_haiku
from jattn.convert.haiku import gru_to_haiku as gru_to_haiku
from jattn.convert.haiku import multi_head_from_haiku as multi_head_from_haiku
from jattn.convert.haiku import multi_head_to_haiku as multi_head_to_haiku
from jattn.convert.keras import bidirectional_gru_from_keras as bidirectional_gru_from_keras
from jattn.convert.keras import bidirectional_gru_to_keras as bidirectional_gru_to_keras
from jattn.convert.keras import gru_from_keras as gru_from_keras
from jattn.convert.keras import gru_to_keras as gru_to_keras
from jattn.convert.keras import multi_head_from_keras as multi_head_from_keras
from jattn.convert.keras import multi_head_to_keras as multi_head_to_keras
from jattn.convert.keras import stacked_gru_from_keras as stacked_gru_from_keras
from jattn.convert.keras import stacked_gru_to_keras as stacked_gru_to_keras
from jattn.convert.linen import bidirectional_gru_from_linen as bidirectional_gru_from_linen
from jattn.convert.linen import bidirectional_gru_to_linen as bidirectional_gru_to_linen
from jattn.convert.linen import gru_from_linen as gru_from_linen
from jattn.convert.linen import gru_to_linen as gru_to_linen
from jattn.convert.linen import multi_head_from_linen as multi_head_from_linen
from jattn.convert.linen import multi_head_to_linen as multi_head_to_linen
from jattn.convert.lstm import lstm_from_equinox as lstm_from_equinox
from jattn.convert.lstm import lstm_from_haiku as lstm_from_haiku
from jattn.convert.lstm import lstm_from_keras as lstm_from_keras
from jattn.convert.lstm import lstm_from_linen as lstm_from_linen
from jattn.convert.lstm import lstm_from_nnx as lstm_from_nnx
from jattn.convert.lstm import lstm_from_onnx as lstm_from_onnx
from jattn.convert.lstm import lstm_to_equinox as lstm_to_equinox
from jattn.convert.lstm import lstm_to_haiku as lstm_to_haiku
from jattn.convert.lstm import lstm_to_keras as lstm_to_keras
from jattn.convert.lstm import lstm_to_linen as lstm_to_linen
from jattn.convert.lstm import lstm_to_nnx as lstm_to_nnx
from jattn.convert.lstm import lstm_to_onnx as lstm_to_onnx
from jattn.convert.nnx import bidirectional_gru_from_nnx as bidirectional_gru_from_nnx
from jattn.convert.nnx import bidirectional_gru_to_nnx as bidirectional_gru_to_nnx
from jattn.convert.nnx import gru_from_nnx as gru_from_nnx
from jattn.convert.nnx import gru_to_nnx as gru_to_nnx
from jattn.convert.nnx import multi_head_from_nnx as multi_head_from_nnx
from jattn.convert.nnx import multi_head_to_nnx as multi_head_to_nnx
from jattn.convert.onnx import bidirectional_gru_from_onnx as bidirectional_gru_from_onnx
from jattn.convert.onnx import bidirectional_gru_to_onnx as bidirectional_gru_to_onnx
from jattn.convert.onnx import gru_from_onnx as gru_from_onnx
from jattn.convert.onnx import gru_to_onnx as gru_to_onnx
from jattn.convert.onnx import multi_head_from_onnx as multi_head_from_onnx
from jattn.convert.onnx import multi_head_to_onnx as multi_head_to_onnx
from jattn.convert.onnx import stacked_gru_from_onnx as stacked_gru_from_onnx
from jattn.convert.onnx import stacked_gru_to_onnx as stacked_gru_to_onnx
from jattn.convert.torch_gru import bidirectional_gru_from_torch as bidirectional_gru_from_torch
from jattn.convert.torch_gru import bidirectional_gru_to_torch as bidirectional_gru_to_torch
from jattn.convert.torch_gru import gru_cell_from_torch as gru_cell_from_torch
from jattn.convert.torch_gru import gru_cell_to_torch as gru_cell_to_torch
from jattn.convert.torch_gru import gru_from_torch as gru_from_torch
from jattn.convert.torch_gru import gru_to_torch as gru_to_torch
from jattn.convert.torch_gru import stacked_gru_from_torch as stacked_gru_from_torch
from jattn.convert.torch_gru import stacked_gru_to_torch as stacked_gru_to_torch
from jattn.convert.torch_lstm import bidirectional_lstm_from_torch as bidirectional_lstm_from_torch
from jattn.convert.torch_lstm import bidirectional_lstm_to_torch as bidirectional_lstm_to_torch
from jattn.convert.torch_lstm import lstm_cell_from_torch as lstm_cell_from_torch
from jattn.convert.torch_lstm import lstm_cell_to_torch as lstm_cell_to_torch
from jattn.convert.torch_lstm import lstm_from_torch as lstm_from_torch
from jattn.convert.torch_lstm import lstm_to_torch as lstm_to_torch
from jattn.convert.torch_lstm import stacked_lstm_from_torch as stacked_lstm_from_torch
from jattn.convert.torch_lstm import stacked_lstm_to_torch as stacked_lstm_to_torch
from jattn.convert.torch_multi_head import multi_head_from_torch as multi_head_from_torch
from jattn.convert.torch_multi_head import multi_head_to_torch as multi_head_to_torch
