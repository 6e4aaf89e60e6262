"""Handwritten digits read by four kinds of attention, and a test of what attention marks."""
