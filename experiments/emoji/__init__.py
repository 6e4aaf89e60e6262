"""Names of emoji in fourteen languages, and the pictures that they find."""
