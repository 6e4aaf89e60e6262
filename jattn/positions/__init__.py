"""Position encodings: sinusoidal and rotary positions."""

from jattn.positions.axes import alternating_axes as alternating_axes
from jattn.positions.axes import contiguous_axes as contiguous_axes
from jattn.positions.axes import interleaved_axes as interleaved_axes
from jattn.positions.axes import multi_axis_rotary as multi_axis_rotary
from jattn.positions.frequencies import interpolated_frequencies as interpolated_frequencies
from jattn.positions.frequencies import ntk_frequencies as ntk_frequencies
from jattn.positions.frequencies import rotary_frequencies as rotary_frequencies
from jattn.positions.gates import forgetting_bias as forgetting_bias
from jattn.positions.gates import selective_bias as selective_bias
from jattn.positions.rotation import half_split_rotary as half_split_rotary
from jattn.positions.rotation import rotary as rotary
from jattn.positions.sinusoids import (
    half_split_sinusoidal_positions as half_split_sinusoidal_positions,
)
from jattn.positions.sinusoids import sinusoidal_positions as sinusoidal_positions
from jattn.positions.xpos import xpos as xpos
from jattn.positions.yarn import by_parts_frequencies as by_parts_frequencies
from jattn.positions.yarn import yarn_attention_factor as yarn_attention_factor
from jattn.positions.yarn import yarn_frequencies as yarn_frequencies
