"""Recurrent cells, unrolling over time, encoder, decoders, greedy and beam search."""
