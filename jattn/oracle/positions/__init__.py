"""Positions in NumPy, one vector at a time."""

from jattn.oracle.positions import axes as axes
from jattn.oracle.positions import frequencies as frequencies
from jattn.oracle.positions import gates as gates
from jattn.oracle.positions import rotation as rotation
from jattn.oracle.positions import xpos as xpos
from jattn.oracle.positions import yarn as yarn
