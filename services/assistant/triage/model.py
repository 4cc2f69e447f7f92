"""A trained classifier: numbers only, so that a stored one can be checked, and answering needs numpy alone."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from services.assistant.triage.features import (
    OPENING_WEIGHT,
    KeywordGroup,
    Keywords,
    Text,
    number_of_pieces,
    opening_terms,
    pieces,
    read,
)
from services.kernel.errors import PermanentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

FORMAT = 1
WHY_TERMS = 4
WORDS_HELD = 20_000
ENOUGH_KNOWN = 0.2
"""Below this share of known n-grams the answer goes over to the labels' shares in training."""


@dataclass(frozen=True)
class Reason:
    """A word or keyword that spoke for the answer; ``weight``: what it added to the label's score."""

    term: str
    weight: float
    keyword: bool


@dataclass(frozen=True)
class Guess:
    """``labels``: the answer, best first. ``confidence``: calibrated probability, 0..1, that the first one is right.
    ``probabilities``: of every label; they add up to 1 unless several labels may hold at once."""

    labels: tuple[str, ...]
    confidence: float
    probabilities: Mapping[str, float]
    why: tuple[Reason, ...]


@dataclass(frozen=True)
class Head:
    """One question (category or priority): a linear score per label, and what makes scores probabilities.

    ``weights``: labels x features. ``scale`` and ``shift``: probability = softmax(scale * score), or, where several
    labels may hold, sigmoid(scale * score + shift); labels from ``cut`` up are given. ``unsure_below``: confidence.
    ``shares``: of the training texts that have each label, which is all that is known of a text in unknown words.
    """

    labels: tuple[str, ...]
    weights: Numbers
    bias: Numbers
    scale: float
    shift: float
    unsure_below: float
    multiple: bool = False
    cut: float = 0.5
    shares: tuple[float, ...] = ()


class BrokenModel(PermanentError):
    """A stored classifier cannot be used; train a new one."""

    code = "broken_model"


class TriageModel:
    """``version``: says what it was trained from. Not for change after construction; safe to share."""

    def __init__(
        self,
        version: str,
        vocabulary: Mapping[str, int],
        opening: Mapping[str, int],
        idf: Numbers,
        groups: Sequence[KeywordGroup],
        category: Head,
        priority: Head,
    ) -> None:
        self.version = version
        self._vocabulary = vocabulary
        self._opening = opening
        self._idf = idf
        self._keywords = Keywords(groups)
        # Words come back: what they are made of is looked up once.
        self._known = lru_cache(maxsize=WORDS_HELD)(self._indices_of)
        self.category = category
        self.priority = priority
        self._check()

    def answer(self, text: str) -> tuple[Guess, Guess]:
        """Category and priority of a text of any length, in about a millisecond."""
        seen = read(text)
        indices, values, words = self._features(seen)
        return self._guess(self.category, seen, indices, values, words), self._guess(
            self.priority, seen, indices, values, words
        )

    def _check(self) -> None:
        import numpy as np

        size = len(self._vocabulary) + len(self._opening) + self._keywords.size
        if self._idf.shape != (len(self._vocabulary) + len(self._opening),):
            raise BrokenModel("the classifier's inverse document frequencies do not fit its vocabulary")
        for head in (self.category, self.priority):
            labels = len(head.labels)
            if head.weights.shape != (labels, size) or head.bias.shape != (labels,) or len(head.shares) != labels:
                raise BrokenModel("the classifier's weights do not fit its labels and features")
            numbers = (head.scale, head.shift, head.unsure_below, head.cut)
            if not (
                np.isfinite(head.weights).all() and np.isfinite(head.bias).all() and all(map(math.isfinite, numbers))
            ):
                raise BrokenModel("the classifier's weights are no numbers")

    def _known_share(self, words: Mapping[str, tuple[int, ...]]) -> float:
        """The share of the text's n-grams that training has seen, 0..1."""
        size = sum(map(number_of_pieces, words))
        return sum(map(len, words.values())) / size if size else 0.0

    def _indices_of(self, word: str) -> tuple[int, ...]:
        """The n-grams of one word that training has seen, one of them as often as it occurs."""
        vocabulary = self._vocabulary
        return tuple(vocabulary[piece] for piece in pieces(word) if piece in vocabulary)

    def _features(self, text: Text) -> tuple[Numbers, Numbers, dict[str, tuple[int, ...]]]:
        """Feature numbers, their values, and for each word the n-grams it gave."""
        import numpy as np

        words: dict[str, tuple[int, ...]] = {}
        counts: Counter[int] = Counter()
        for word, times in Counter(text.words).items():
            words[word] = self._known(word)
            if times == 1:
                counts.update(words[word])
            else:
                for index in words[word]:
                    counts[index] += times
        parts: list[tuple[Any, Numbers]] = [_weighted(counts, self._idf, 1.0)]
        base = len(self._vocabulary)
        opened = Counter(base + self._opening[term] for term in opening_terms(text) if term in self._opening)
        parts.append(_weighted(opened, self._idf, OPENING_WEIGHT))
        keyword_values = np.array(self._keywords.vector(text), dtype=np.float32)
        hit = np.flatnonzero(keyword_values)
        parts.append((hit + base + len(self._opening), keyword_values[hit]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), words

    def _guess(
        self, head: Head, text: Text, indices: Numbers, values: Numbers, words: Mapping[str, tuple[int, ...]]
    ) -> Guess:
        import numpy as np

        scores = head.weights[:, indices] @ values + head.bias
        known = min(1.0, self._known_share(words) / ENOUGH_KNOWN)
        probabilities = known * probabilities_of(scores[None, :], head)[0] + (1 - known) * np.array(head.shares)
        order = np.argsort(-probabilities, kind="stable")
        best = int(order[0])
        chosen = [best]
        if head.multiple:
            chosen += [int(i) for i in order[1:] if probabilities[i] >= head.cut]
        return Guess(
            tuple(head.labels[i] for i in chosen),
            float(probabilities[best]),
            {label: float(p) for label, p in zip(head.labels, probabilities, strict=True)},
            self._why(
                head,
                best,
                text,
                dict(zip(indices.tolist(), (head.weights[best, indices] * values).tolist(), strict=True)),
                words,
            ),
        )

    def _why(
        self, head: Head, label: int, text: Text, added: Mapping[int, float], words: Mapping[str, tuple[int, ...]]
    ) -> tuple[Reason, ...]:
        reasons = [
            Reason(word, weight, False)
            for word, known in words.items()
            if (weight := sum(added[index] for index in set(known))) > 0
        ]
        reasons += self._keyword_reasons(head.labels[label], text, added)
        reasons.sort(key=lambda reason: (-reason.keyword, -reason.weight))
        return tuple(reasons[:WHY_TERMS])

    def _keyword_reasons(self, name: str, text: Text, added: Mapping[int, float]) -> list[Reason]:
        """The label's own keywords in the text; what their group adds as a whole is shared among them."""
        index = len(self._vocabulary) + len(self._opening)
        reasons: list[Reason] = []
        for group in self._keywords.groups:
            found = [i for i, needle in enumerate(group.needles) if needle in text.flat] if group.label == name else []
            shared = (added.get(index, 0.0) + added.get(index + 1, 0.0)) / max(1, len(found))
            reasons += [Reason(group.keywords[i], shared + added.get(index + 2 + i, 0.0), True) for i in found]
            index += 2 + len(group.needles)
        return [reason for reason in reasons if reason.weight > 0]

    def to_bytes(self) -> bytes:
        """A zip of arrays without pickled objects (numpy's npz)."""
        import numpy as np

        heads = {"category": self.category, "priority": self.priority}
        meta = {
            "format": FORMAT,
            "version": self.version,
            "vocabulary": _terms(self._vocabulary),
            "opening": _terms(self._opening),
            "groups": [[group.label, list(group.keywords)] for group in self._keywords.groups],
            "heads": {name: _head_meta(head) for name, head in heads.items()},
        }
        arrays: dict[str, Any] = {"idf": self._idf}
        for name, head in heads.items():
            arrays[f"{name}_weights"], arrays[f"{name}_bias"] = head.weights, head.bias
        buffer = io.BytesIO()
        encoded = np.frombuffer(json.dumps(meta, ensure_ascii=False).encode(), dtype=np.uint8)
        np.savez_compressed(buffer, meta=encoded, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> TriageModel:
        """Raises BrokenModel: the bytes are no classifier of this format."""
        import zipfile

        import numpy as np

        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                meta = json.loads(arrays["meta"].tobytes())
                if meta["format"] != FORMAT:
                    raise BrokenModel(f"the stored classifier has format {meta['format']}, not {FORMAT}")
                heads = [
                    Head(
                        weights=arrays[f"{name}_weights"],
                        bias=arrays[f"{name}_bias"],
                        **{
                            **meta["heads"][name],
                            "labels": tuple(meta["heads"][name]["labels"]),
                            "shares": tuple(meta["heads"][name]["shares"]),
                        },
                    )
                    for name in ("category", "priority")
                ]
                groups = [KeywordGroup.of(label, keywords) for label, keywords in meta["groups"]]
                vocabulary, opening = (
                    {term: index for index, term in enumerate(meta[name])} for name in ("vocabulary", "opening")
                )
                return cls(meta["version"], vocabulary, opening, arrays["idf"], groups, heads[0], heads[1])
        except (ValueError, KeyError, TypeError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
            raise BrokenModel(f"the stored classifier cannot be read: {error}") from error


def probabilities_of(scores: Numbers, head: Head) -> Numbers:
    """``scores``: texts x labels. Temperature-scaled softmax, or Platt's sigmoid where several labels may hold.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks; Platt 1999.
    """
    import numpy as np

    if head.multiple:
        found: Numbers = 1 / (1 + np.exp(-np.clip(head.scale * scores + head.shift, -30, 30)))
        return found
    scaled = head.scale * (scores - scores.max(axis=1, keepdims=True))
    exponents = np.exp(scaled)
    normalised: Numbers = exponents / exponents.sum(axis=1, keepdims=True)
    return normalised


def _weighted(counts: Mapping[int, int], idf: Numbers, weight: float) -> tuple[Any, Numbers]:
    """Sublinear term frequency times inverse document frequency, scaled to length ``weight``."""
    import numpy as np

    indices = np.fromiter(counts.keys(), dtype=np.int64, count=len(counts))
    times = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
    values = (1 + np.log(times)) * idf[indices]
    length = float(np.sqrt((values * values).sum()))
    return indices, (weight / length * values if length else values).astype(np.float32)


def _terms(vocabulary: Mapping[str, int]) -> list[str]:
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _head_meta(head: Head) -> dict[str, Any]:
    return {
        "labels": list(head.labels),
        "scale": head.scale,
        "shift": head.shift,
        "unsure_below": head.unsure_below,
        "multiple": head.multiple,
        "cut": head.cut,
        "shares": list(head.shares),
    }


def by_share(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` (0..1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
