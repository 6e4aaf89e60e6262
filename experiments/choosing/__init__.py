"""Mechanisms compared on tasks that separate them, with everything else the same."""
