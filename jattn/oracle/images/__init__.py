"""Attention to images in NumPy, with gradients derived by hand."""

from jattn.oracle.images import cbam as cbam
from jattn.oracle.images import deformable as deformable
from jattn.oracle.images import gate as gate
from jattn.oracle.images import non_local as non_local
from jattn.oracle.images import squeeze as squeeze
