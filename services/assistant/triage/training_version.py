"""What a classifier was trained from, as a short name; apart from training so that serving needs no scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.assistant.triage.taxonomy import Example, Taxonomy


def version_of(taxonomy: Taxonomy, corrections: Sequence[Example]) -> str:
    """Equal for equal training material."""
    content = "\n".join([taxonomy.digest, *sorted(example.model_dump_json() for example in corrections)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
