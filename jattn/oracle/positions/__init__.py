"""Positions in NumPy, one vector at a time."""

from jattn.oracle.positions import rotation as rotation
