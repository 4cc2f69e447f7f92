"""What must hold before a change of the contracts may be merged; see ``scripts/contracts.py check``."""
