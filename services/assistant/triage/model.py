"""A trained classifier: numbers only, so that a stored one can be checked, and answering needs numpy alone."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from services.assistant.triage.features import (
    PIECES,
    VIEWS,
    KeywordGroup,
    Keywords,
    Text,
    number_of_pieces,
    pieces,
    read,
)
from services.assistant.triage.heads import Guess, Head, Reason, probabilities_of
from services.kernel.errors import PermanentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

FORMAT = 2
WHY_TERMS = 4
WORDS_HELD = 20_000
ENOUGH_KNOWN = 0.2
"""Below this share of known n-grams the answer goes over to the labels' shares in training."""


Words = Mapping[str, tuple[tuple[int, ...], int]]
"""Per word its known n-grams, and how many it has."""


class BrokenModel(PermanentError):
    """A stored classifier cannot be used; train a new one."""

    code = "broken_model"


class TriageModel:
    """``version``: says what it was trained from. ``vocabularies``: per view of ``features.VIEWS``, term to number from
    0. Not for change after construction; safe to share."""

    def __init__(
        self,
        version: str,
        vocabularies: Sequence[Mapping[str, int]],
        idf: Numbers,
        keywords: Keywords,
        category: Head,
        priority: Head,
    ) -> None:
        self.version = version
        self._vocabularies = tuple(vocabularies)
        self._idf = idf
        self._keywords = keywords
        # Words come back: what they are made of is looked up once.
        self._known = lru_cache(maxsize=WORDS_HELD)(self._word)
        self.category = category
        self.priority = priority
        self._check()

    def answer(self, text: str) -> tuple[Guess, Guess]:
        """Category and priority of a text of any length, in about a millisecond."""
        seen = read(text)
        indices, values, words = self._features(seen)
        known = min(1.0, _known_share(words) / ENOUGH_KNOWN)
        return self._guess(self.category, seen, indices, values, words, known), self._guess(
            self.priority, seen, indices, values, words, known
        )

    def _check(self) -> None:
        import numpy as np

        terms = sum(map(len, self._vocabularies))
        size = terms + self._keywords.size
        if len(self._vocabularies) != len(VIEWS) or self._idf.shape != (terms,):
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

    def _word(self, word: str) -> tuple[tuple[int, ...], int]:
        """The n-grams of one word that training has seen, one of them as often as it occurs, and how many it has."""
        vocabulary = self._vocabularies[0]
        return tuple(vocabulary[piece] for piece in pieces(word) if piece in vocabulary), number_of_pieces(word)

    def _features(self, text: Text) -> tuple[Numbers, Numbers, Words]:
        """Feature numbers, their values, and for each word the n-grams it gave."""
        import numpy as np

        words = {word: self._known(word) for word in text.words}
        counts = Counter(chain.from_iterable(words[word][0] for word in text.words))
        parts = [_weighted(counts, self._idf, PIECES.weight)]
        base = len(self._vocabularies[0])
        for view, vocabulary in zip(VIEWS[1:], self._vocabularies[1:], strict=True):
            seen = Counter(base + vocabulary[term] for term in view.terms(text) if term in vocabulary)
            parts.append(_weighted(seen, self._idf, view.weight))
            base += len(vocabulary)
        hits = self._keywords.values(text)
        parts.append(
            (
                np.fromiter(hits.keys(), dtype=np.int64, count=len(hits)) + base,
                np.fromiter(hits.values(), dtype=np.float32, count=len(hits)),
            )
        )
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), words

    def _guess(self, head: Head, text: Text, indices: Numbers, values: Numbers, words: Words, known: float) -> Guess:
        import numpy as np

        scores = head.weights[:, indices] @ values + head.bias
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

    def _why(self, head: Head, label: int, text: Text, added: Mapping[int, float], words: Words) -> tuple[Reason, ...]:
        reasons = [
            Reason(word, weight, False)
            for word, (known, _) in words.items()
            if (weight := sum(added[index] for index in set(known))) > 0
        ]
        reasons += self._keyword_reasons(head.labels[label], text, added)
        reasons.sort(key=lambda reason: (-reason.keyword, -reason.weight))
        return tuple(reasons[:WHY_TERMS])

    def _keyword_reasons(self, name: str, text: Text, added: Mapping[int, float]) -> list[Reason]:
        """The label's own keywords in the text; what their group adds as a whole is shared among them."""
        index = sum(map(len, self._vocabularies))
        reasons: list[Reason] = []
        for group in self._keywords.groups:
            found = group.found_in(text) if group.label == name else []
            shared = (added.get(index, 0.0) + added.get(index + 1, 0.0)) / max(1, len(found))
            first = index + Keywords.PER_GROUP
            reasons += [Reason(group.keywords[i], shared + added.get(first + i, 0.0), True) for i in found]
            index = first + len(group.keywords)
        return [reason for reason in reasons if reason.weight > 0]

    def to_bytes(self) -> bytes:
        """A zip of arrays without pickled objects (numpy's npz)."""
        import numpy as np

        heads = {"category": self.category, "priority": self.priority}
        meta = {
            "format": FORMAT,
            "version": self.version,
            "vocabularies": [_terms(vocabulary) for vocabulary in self._vocabularies],
            "keyword_weight": self._keywords.weight,
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
                keywords = Keywords(groups, float(meta["keyword_weight"]))
                vocabularies = [{term: index for index, term in enumerate(terms)} for terms in meta["vocabularies"]]
                return cls(meta["version"], vocabularies, arrays["idf"], keywords, heads[0], heads[1])
        except (ValueError, KeyError, TypeError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
            raise BrokenModel(f"the stored classifier cannot be read: {error}") from error


def _known_share(words: Words) -> float:
    """The share of the text's n-grams that training has seen, 0..1."""
    size = sum(total for _, total in words.values())
    return sum(len(known) for known, _ in words.values()) / size if size else 0.0


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
