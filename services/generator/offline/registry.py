"""Every recipe, imported once."""

from services.generator.offline.composer import RECIPES, Recipe
from services.generator.offline.recipes import joins, rows, subqueries, summaries

__all__ = ["RECIPES", "Recipe", "joins", "rows", "subqueries", "summaries"]
