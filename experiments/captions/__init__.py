"""Captions of pictures of digits: attention on places, and pictures found by their captions."""
