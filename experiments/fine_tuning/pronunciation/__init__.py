"""A published GRU from letters to phones, run by jattn, and trained on with attention added."""
