"""A sentence encoder's weights on jattn's own layers, fine-tuned to tell where texts come from."""
