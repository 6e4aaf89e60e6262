"""Speech: Whisper on jattn's transformer blocks, and small models of recorded voices."""
