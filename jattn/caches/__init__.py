"""The cache of keys and values, and writes to it; `jattn.attend_to_cache` reads it."""
