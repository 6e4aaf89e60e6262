"""A Llama-like model on jattn beside the same model in jax.nn: tokens a second."""
