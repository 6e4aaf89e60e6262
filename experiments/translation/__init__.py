"""Translation: GRU decoders and a transformer whose attention is compared with human links."""
