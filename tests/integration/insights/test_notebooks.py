"""Every notebook runs from top to bottom on generated data, in a process of its own, and draws its figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parents[3] / "services" / "insights" / "notebooks"
NOTEBOOKS = sorted(DIRECTORY.glob("*.ipynb"))


def code_of(path: Path) -> list[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["content_effectiveness", "learning_pattern", "score_trend"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    cells = code_of(path)
    count = "\nimport matplotlib.pyplot as _plt\nprint('FIGURES', len(_plt.get_fignums()))\n"
    script = tmp_path / f"{path.stem}.py"
    script.write_text("\n\n".join(cells) + count, encoding="utf-8")
    # On a backend without windows ``show`` leaves figures open, so that they can be counted.
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=DIRECTORY, env=environment, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.rsplit("FIGURES", 1)[1]) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") for cell in document["cells"])
