"""How to choose a kind of attention: mechanisms on tasks that separate them, all else the same."""
