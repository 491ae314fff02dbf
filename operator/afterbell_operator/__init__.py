"""The operator: pods follow the queue, and every number of pods has a reason."""
