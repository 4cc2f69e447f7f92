"""Small wrong versions of a query, to see whether data tells them from the right one."""

from services.kernel.sql.mutation.mutants import Mutant, make_mutants

__all__ = ["Mutant", "make_mutants"]
