"""Linear recurrences whose state is a matrix: one generalized delta rule, and its cases."""

from jattn.linear.rule import DeltaOutput as DeltaOutput
from jattn.linear.rule import delta_rule as delta_rule
