"""What is slow about a query, and a rewrite that was proved and measured, or none."""
