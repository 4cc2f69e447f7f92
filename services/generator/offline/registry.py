"""Every recipe, imported once."""

from services.generator.offline.composer import RECIPES, Recipe
from services.generator.offline.recipes import behaviour, joins, rows, subqueries, summaries, windows

__all__ = ["RECIPES", "Recipe", "behaviour", "joins", "rows", "subqueries", "summaries", "windows"]
