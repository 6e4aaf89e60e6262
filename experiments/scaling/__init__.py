"""Data-parallel and context-parallel training in several processes, and what each costs."""
