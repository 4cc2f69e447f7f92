"""The training's own process: JSON on its input, the artefact on its output.

Training needs scikit-learn, some 150 MB; its memory goes back when the process ends.
"""

import json
import sys

from services.assistant.triage.taxonomy import Example, Taxonomy
from services.assistant.triage.training import train


def main() -> None:
    order = json.loads(sys.stdin.buffer.read())
    taxonomy = Taxonomy.model_validate(order["taxonomy"])
    corrections = [Example.model_validate(entry) for entry in order["corrections"]]
    sys.stdout.buffer.write(train(taxonomy, corrections).to_bytes())


if __name__ == "__main__":
    main()
