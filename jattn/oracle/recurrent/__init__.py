"""Recurrent cells and their unrolling in NumPy, with gradients derived by hand."""

from jattn.oracle.recurrent import bidirectional as bidirectional
from jattn.oracle.recurrent import cells as cells
from jattn.oracle.recurrent import gru as gru
from jattn.oracle.recurrent import lstm as lstm
from jattn.oracle.recurrent import stacked as stacked
from jattn.oracle.recurrent import unroll as unroll
