from __future__ import annotations

import pytest

from services.kernel.sql.sandbox import DatasetFiles


@pytest.fixture
def rows_source() -> DatasetFiles:
    return DatasetFiles.rows(["CREATE TABLE numbers (n INTEGER)"], {"numbers": [{"n": 1}, {"n": 2}, {"n": 3}]})
