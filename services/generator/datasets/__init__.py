"""Seeded data: the two data sets the platform ships, rows for any schema, and profiles of either."""

from services.generator.datasets.catalogue import DATA_TYPES, MAX_ROWS, MIN_ROWS, build
from services.generator.datasets.profiles import ColumnProfile, Profile, profile_dataset

__all__ = ["DATA_TYPES", "MAX_ROWS", "MIN_ROWS", "ColumnProfile", "Profile", "build", "profile_dataset"]
