"""The services of the platform, in the order in which one machine starts them: the door first, the widest last."""

SERVICES = ("intake", "generator", "grader", "notifier", "metadata", "insights", "assistant")
