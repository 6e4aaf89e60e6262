"""A language model of characters: transformers and GRUs on an English Bible."""
