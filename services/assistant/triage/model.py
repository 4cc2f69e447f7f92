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
    VIEWS,
    KeywordGroup,
    Keywords,
    Text,
    pieces,
    read,
)
from services.assistant.triage.heads import Guess, Head, Reason, probabilities_of
from services.kernel.errors import PermanentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

FORMAT = 4
WHY_TERMS = 4
WORDS_HELD = 20_000
ENOUGH_KNOWN = 0.2
"""Below this share of known n-grams the answer goes over to the labels' shares in training."""


@dataclass(frozen=True)
class _Seen:
    """A text as the classifier sees it. ``indices`` and ``values``: its features. ``words``: word to the number of
    its known n-grams, whose places in ``indices`` stand in ``places``, word by word. ``known_share``: of its n-grams,
    0..1, those that training has seen."""

    text: Text
    indices: Any
    values: Numbers
    words: Mapping[str, int]
    places: Any
    known_share: float


class BrokenModel(PermanentError):
    """A stored classifier cannot be used; train a new one."""

    code = "broken_model"


class TriageModel:
    """``version``: says what it was trained from. ``vocabularies``, term to number from 0, stand in the order of
    ``features.VIEWS``. Not for change after construction; safe to share."""

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
        seen = self._look(read(text))
        return self._guess(self.category, seen), self._guess(self.priority, seen)

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
            numbers = (head.scale, head.shift, head.unsure_below, head.cut, head.sure_slope, head.sure_intercept)
            if not (
                np.isfinite(head.weights).all() and np.isfinite(head.bias).all() and all(map(math.isfinite, numbers))
            ):
                raise BrokenModel("the classifier's weights are no numbers")

    def _word(self, word: str) -> tuple[Any, int]:
        """The n-grams of one word that training has seen, one of them as often as it occurs, and how many it has."""
        import numpy as np

        vocabulary = self._vocabularies[0]
        every = list(pieces(word))
        known = [vocabulary[piece] for piece in every if piece in vocabulary]
        return np.array(known, dtype=np.int64), len(every)

    def _look(self, text: Text) -> _Seen:
        import numpy as np

        times = Counter(text.words)
        known = {word: self._known(word) for word in times}
        flat = [found for word, (found, _) in known.items() for _ in range(times[word])]
        indices, counts = np.unique(np.concatenate(flat) if flat else np.empty(0, np.int64), return_counts=True)
        parts = [(indices, _weighted(indices, counts, self._idf))]
        base = len(self._vocabularies[0])
        for view, vocabulary in zip(VIEWS[1:], self._vocabularies[1:], strict=True):
            seen = Counter(base + vocabulary[term] for term in view.terms(text) if term in vocabulary)
            columns, often = _columns(seen.keys(), len(seen)), np.fromiter(seen.values(), np.int64, len(seen))
            parts.append((columns, _weighted(columns, often, self._idf)))
            base += len(vocabulary)
        hits = self._keywords.values(text)
        parts.append((_columns(hits.keys(), len(hits)) + base, np.fromiter(hits.values(), np.float32, len(hits))))
        total = sum(size for _, size in known.values())
        return _Seen(
            text,
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
            {word: len(found) for word, (found, _) in known.items() if len(found)},
            np.searchsorted(indices, np.concatenate([found for found, _ in known.values()])) if known else indices,
            sum(len(found) for found, _ in known.values()) / total if total else 0.0,
        )

    def _guess(self, head: Head, seen: _Seen) -> Guess:
        import numpy as np

        weights = head.weights[:, seen.indices]
        scores = weights @ seen.values + head.bias
        known = min(1.0, seen.known_share / ENOUGH_KNOWN)
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
            self._why(head.labels[best], seen, weights[best] * seen.values),
        )

    def _why(self, label: str, seen: _Seen, added: Numbers) -> tuple[Reason, ...]:
        """``added``: what each of the text's features adds to the label's score."""
        import numpy as np

        reasons: list[Reason] = []
        if seen.words:
            starts = np.cumsum([0, *seen.words.values()][:-1])
            sums = np.add.reduceat(added[seen.places], starts).tolist()
            reasons = [Reason(word, w, False) for word, w in zip(seen.words, sums, strict=True) if w > 0]
        base = sum(map(len, self._vocabularies))
        last = np.flatnonzero(seen.indices >= base)
        by_keyword = dict(zip((seen.indices[last] - base).tolist(), added[last].tolist(), strict=True))
        reasons += self._keyword_reasons(label, seen.text, by_keyword)
        reasons.sort(key=lambda reason: (-reason.keyword, -reason.weight))
        return tuple(reasons[:WHY_TERMS])

    def _keyword_reasons(self, name: str, text: Text, added: Mapping[int, float]) -> list[Reason]:
        """The label's own keywords in the text; what their group adds as a whole is shared among them."""
        index = 0
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
                keywords = Keywords(groups)
                vocabularies = [{term: index for index, term in enumerate(terms)} for terms in meta["vocabularies"]]
                return cls(meta["version"], vocabularies, arrays["idf"], keywords, heads[0], heads[1])
        except (ValueError, KeyError, TypeError, EOFError, OSError, AttributeError, zipfile.BadZipFile) as error:
            raise BrokenModel(f"the stored classifier cannot be read: {error}") from error


def _columns(keys: Iterable[int], size: int) -> Any:
    import numpy as np

    return np.fromiter(keys, np.int64, size)


def _weighted(indices: Any, counts: Any, idf: Numbers) -> Numbers:
    """Sublinear term frequency times inverse document frequency, scaled to length 1."""
    import numpy as np

    values = ((1 + np.log(counts)) * idf[indices]).astype(np.float32)
    length = float(np.sqrt((values * values).sum()))
    scaled: Numbers = values / length if length else values
    return scaled


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
        "sure_slope": head.sure_slope,
        "sure_intercept": head.sure_intercept,
    }
