"""Short free texts get a category and a priority: a taxonomy says which, a local classifier answers first."""
