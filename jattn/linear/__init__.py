"""Linear recurrences whose state is a matrix: one generalized delta rule, and its cases."""

from jattn.linear.attention import LinearAttentionOutput as LinearAttentionOutput
from jattn.linear.attention import linear_attention as linear_attention
from jattn.linear.decays import gated_linear_attention as gated_linear_attention
from jattn.linear.decays import hgrn2 as hgrn2
from jattn.linear.decays import retention as retention
from jattn.linear.delta_product import delta_product as delta_product
from jattn.linear.deltas import delta_net as delta_net
from jattn.linear.deltas import gated_delta_net as gated_delta_net
from jattn.linear.deltas import kimi_delta_attention as kimi_delta_attention
from jattn.linear.mlstm import MLSTMOutput as MLSTMOutput
from jattn.linear.mlstm import mlstm as mlstm
from jattn.linear.performer import PerformerOutput as PerformerOutput
from jattn.linear.performer import init_performer as init_performer
from jattn.linear.performer import performer as performer
from jattn.linear.rule import LinearOutput as LinearOutput
from jattn.linear.rule import delta_rule as delta_rule
from jattn.linear.rwkv7 import rwkv7 as rwkv7
from jattn.linear.state_space_dual import state_space_dual as state_space_dual
