"""The shipped maintenance taxonomy and a classifier trained from it, once for all tests."""

import pytest

from services.assistant.triage.model import TriageModel
from services.assistant.triage.taxonomy import SHIPPED, Taxonomy, load
from services.assistant.triage.training import train


@pytest.fixture(scope="session")
def maintenance() -> Taxonomy:
    return load(SHIPPED / "building_maintenance.yaml")


@pytest.fixture(scope="session")
def classifier(maintenance: Taxonomy) -> TriageModel:
    return train(maintenance)
