"""Problems, hints and tips without a model."""

from services.generator.offline.draft import Level
from services.generator.offline.generate import GenerationRequest, GenerationResult, generate
from services.generator.offline.problem import Problem, lucky_answer, wrong_answer
from services.generator.offline.tips import Tip, tip_of_the_day

__all__ = [
    "GenerationRequest",
    "GenerationResult",
    "Level",
    "Problem",
    "Tip",
    "generate",
    "lucky_answer",
    "tip_of_the_day",
    "wrong_answer",
]
