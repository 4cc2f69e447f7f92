"""Starting without a key loads nothing that only models need."""

import subprocess
import sys

PROGRAM = """
import sys
import services.generator.bootstrap
from services.kernel.llm.assembly import open_models
from services.kernel.llm.settings import LlmSettings

models = open_models(LlmSettings(database_url="postgresql://unused", gemini_api_key=""), None)
assert not models.router.available
loaded = {"google.genai", "tenacity", "sqlglot", "duckdb"} & set(sys.modules)
assert not loaded, loaded
"""


def test_no_model_library_is_imported_without_a_key() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)
