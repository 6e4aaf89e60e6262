"""Any mechanism a block of queries at a time: what is row by row, and which keys may be skipped."""

from jattn.chunks.in_chunks import in_chunks as in_chunks
