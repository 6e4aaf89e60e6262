"""Attention to the channels and the places of one image, an array [height width channels]."""

from jattn.images.cbam import CBAMOutput as CBAMOutput
from jattn.images.cbam import CBAMParams as CBAMParams
from jattn.images.cbam import cbam as cbam
from jattn.images.cbam import init_cbam as init_cbam
from jattn.images.deformable import DeformableAttended as DeformableAttended
from jattn.images.deformable import DeformableParams as DeformableParams
from jattn.images.deformable import deformable_attention as deformable_attention
from jattn.images.deformable import init_deformable as init_deformable
from jattn.images.gate import AttentionGateOutput as AttentionGateOutput
from jattn.images.gate import AttentionGateParams as AttentionGateParams
from jattn.images.gate import attention_gate as attention_gate
from jattn.images.gate import init_attention_gate as init_attention_gate
from jattn.images.non_local import NonLocalOutput as NonLocalOutput
from jattn.images.non_local import NonLocalParams as NonLocalParams
from jattn.images.non_local import init_non_local as init_non_local
from jattn.images.non_local import non_local_block as non_local_block
from jattn.images.squeeze import ChannelGateParams as ChannelGateParams
from jattn.images.squeeze import ChannelsOutput as ChannelsOutput
from jattn.images.squeeze import init_channel_gate as init_channel_gate
from jattn.images.squeeze import squeeze_excitation as squeeze_excitation
