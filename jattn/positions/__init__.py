"""Position encodings: sinusoidal and rotary positions."""

from jattn.positions.rotation import half_split_rotary as half_split_rotary
from jattn.positions.rotation import rotary as rotary
from jattn.positions.sinusoids import sinusoidal_positions as sinusoidal_positions
