"""The page of laws, printed."""

from jattn.testing.laws import page

print(page(), end="")
