"""Letters to phones: a GRU encoder and decoder with attention, on the CMU dictionary."""
