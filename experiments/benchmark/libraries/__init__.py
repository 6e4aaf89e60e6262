"""One module a peer, with a function for each kind of row that it can do.

Each takes the row, its inputs and the direction, and returns a `Prepared`. A module imports its
library at once, so one that is not installed raises ImportError. Layouts are each library's own,
and what is converted is converted before the clock starts.
"""
