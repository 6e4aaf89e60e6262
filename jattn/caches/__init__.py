"""Caches of keys and values for decoding: their writes and their reads."""

from jattn.caches.attend import attend_with_cache as attend_with_cache
