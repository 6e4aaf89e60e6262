"""Position encodings: sinusoidal and rotary positions, and linear biases (ALiBi)."""

from jattn.positions.alibi import alibi_bias as alibi_bias
from jattn.positions.alibi import alibi_slopes as alibi_slopes
from jattn.positions.rotation import half_split_rotary as half_split_rotary
from jattn.positions.rotation import rotary as rotary
from jattn.positions.sinusoids import sinusoidal_positions as sinusoidal_positions
