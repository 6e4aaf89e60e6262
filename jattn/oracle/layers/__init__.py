"""Layers in NumPy, one vector at a time."""

from jattn.oracle.layers import affine as affine
from jattn.oracle.layers import norms as norms
