"""What the panel's operators do for a reviewer of a dataset: read samples, record decisions, count.

One per dataset and server process. The dataset's decisions are in `decisions`; nothing of them is kept here but the
times of this reviewer's own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from annotext.core.errors import AnnotextError
from annotext.review.decisions.correction import Correction, Verdict, last_decisions
from annotext.review.decisions.journal import in_order
from annotext.review.decisions.reviewers import Pace
from annotext.review.fiftyone.documents import BOXES, CANDIDATES, HUMAN, PEOPLE
from annotext.review.fiftyone.panel import (
    correction,
    decided,
    estimates,
    fields,
    keypoint_of_view,
    people_of,
    to_ask,
)
from annotext.review.fiftyone.store import (
    decisions,
    decisions_on,
    image_name,
    image_size,
    record,
    review_info,
    sample_collection,
)

# The reviewer's name reaches the server here, from the command line: a browser cannot say it is somebody else.
REVIEWER = "ANNOTEXT_REVIEWER"
# A panel asks for a few people ahead; more at once would only be slow.
PEOPLE_AT_ONCE = 50
# The rate is that of the last so many decisions: what one is doing now, not what one did before lunch; there is none
# of fewer than three.
RECENT, FEWEST = 60, 3
_services: dict[tuple[str, str], ReviewService] = {}
_lock = threading.Lock()


def review_service(dataset: Any) -> ReviewService:
    """The review service of this process's reviewer for a dataset.

    Raises AnnotextError for a dataset annotext did not build, and in an App that `annotext review open` did not start.
    """
    reviewer = os.environ.get(REVIEWER, "").strip()
    if not reviewer:
        raise AnnotextError(
            f"nobody is reviewing here: `annotext review open {dataset.name}` starts the App for review"
        )
    key = (reviewer, str(dataset._doc.id))
    with _lock:
        if key not in _services:
            _services[key] = ReviewService(dataset, reviewer)
        _services[key].dataset = dataset
        return _services[key]


class ReviewService:
    """See the module. Methods may be called from several threads."""

    def __init__(self, dataset: Any, reviewer: str) -> None:
        review_info(dataset)
        self.dataset = dataset
        self.reviewer = reviewer
        self._saving = threading.Lock()
        own = [c for c in decisions(dataset) if c.reviewer == reviewer]
        self._times = sorted(c.instant for c in own)
        self._points = sum(map(_counts, own))
        self._ids: set[str] = set()
        # Recorded while the database did not answer.
        self._behind: list[Correction] = []

    def about(self) -> dict[str, Any]:
        """What holds for all people: names, edges, who reviews."""
        info = review_info(self.dataset)
        skeleton = self.dataset.default_skeleton
        return {
            "dataset": self.dataset.name,
            "reviewer": self.reviewer,
            "names": list(info["skeleton"]),
            "added": list(info["added"]),
            "edges": [] if skeleton is None else [list(e) for e in skeleton.edges],
        }

    def queue(self, view: Any, sample_id: str | None = None, *, everybody: bool = False) -> dict[str, Any]:
        """The people of a view (or of one sample) to go through, and where the review stands.

        view: a FiftyOne view, filtered or not; people that it does not show are not asked about. Where nothing is left
        in it, everybody in it comes, and `everybody` says so.
        """
        info = review_info(self.dataset)
        name = getattr(view, "name", None)
        if sample_id is not None:
            view, name = self.dataset.select(sample_id), None
        samples = _labels(self.dataset, view, fields(name, info["added"]))
        rows = people_of(samples, name, info["skeleton"], info["added"], everybody=everybody)
        if not rows and not everybody:
            everybody = True
            rows = people_of(samples, name, info["skeleton"], info["added"], everybody=True)
        return {
            "about": self.about(),
            "view": name,
            "keypoint": keypoint_of_view(name, info["added"]),
            "everybody": everybody,
            "rows": [[r.sample, r.person, r.left] for r in rows],
            "progress": self.progress(),
        }

    def people(self, wanted: Sequence[tuple[str, int]], view: str | None) -> list[dict[str, Any]]:
        """People, (sample id, person), as the panel draws them: see `panel.estimates`, `to_ask` and `decided`.

        Those who are gone (the dataset was built anew) are left out.
        """
        wanted = list(wanted)[:PEOPLE_AT_ONCE]
        info = review_info(self.dataset)
        documents = self._documents([sample for sample, _ in wanted])
        corrections = self._decisions_on([person for _, person in wanted])
        shown = []
        for sample, person in wanted:
            document = documents.get(sample)
            labels = None if document is None else _both(document, person)
            if document is None or labels is None:
                continue
            size = image_size(document)
            points = estimates(*labels, size, info["skeleton"], info["added"])
            shown.append(
                {
                    "sample": sample,
                    "person": person,
                    "file": image_name(info, document),
                    "src": document["filepath"],
                    "width": size[0],
                    "height": size[1],
                    "bbox": list(labels[0].get("bbox_px") or ()),
                    "findings": list(labels[0].get("findings") or ()),
                    "points": points,
                    "ask": to_ask(points, labels[0], view, info["added"]),
                    **decided(corrections, labels[0], info["skeleton"], person, self.reviewer),
                }
            )
        return shown

    def decide(self, made_now: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Record decisions of the panel: all of them or none. See `panel.correction` for what they hold.

        The answer has what is decided on these people now (see `panel.decided`). Sending the same decisions again, with
        the same ids, changes nothing: the browser may ask twice. Raises AnnotextError where nothing was saved.
        """
        info = review_info(self.dataset)
        with self._saving:
            documents = self._documents([str(d["sample"]) for d in made_now])
            persons = [int(d["person"]) for d in made_now]
            earlier = self._own_decisions(persons)
            made: list[Correction] = []
            for i, d in enumerate(made_now):
                document = documents.get(str(d["sample"]))
                labels = None if document is None else _both(document, int(d["person"]))
                if document is None or labels is None:
                    raise AnnotextError(
                        f"person {d['person']} is not in the dataset any more: it was built anew, reload"
                    )
                size = image_size(document)
                points = estimates(*labels, size, info["skeleton"], info["added"])
                key = (int(d["person"]), str(d.get("keypoint") or ""))
                name, time = image_name(info, document), self._now(i)
                made.append(correction(d, points, name, size, self.reviewer, time, earlier.get(key)))
                if made[-1].verdict != Verdict.NOTE:
                    earlier[key] = made[-1]
            recorded = record(self.dataset, made)
            self._behind = [] if recorded.shown else [*self._behind, *made]
            fresh = [c for c in made if c.id not in self._ids]
            self._ids.update(c.id for c in fresh)
            self._times += [c.instant for c in fresh]
            self._points += sum(map(_counts, fresh))
        people = sorted({(str(d["sample"]), int(d["person"])) for d in made_now})
        answer = {"saved": [c.id for c in made], "note": recorded.problem, "progress": self.progress()}
        return {**answer, "people": self._decided(people)}

    def _decided(self, people: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """What is decided on people, (sample id, person)."""
        names = review_info(self.dataset)["skeleton"]
        documents = self._documents([sample for sample, _ in people])
        corrections = self._decisions_on([person for _, person in people])
        found = []
        for sample, person in people:
            labels = _both(documents[sample], person) if sample in documents else None
            if labels is not None:
                state = decided(corrections, labels[0], names, person, self.reviewer)
                found.append({"sample": sample, "person": person, **state})
        return found

    def _decisions_on(self, persons: Sequence[int]) -> list[Correction]:
        """All decisions on these people, those included that the database does not have yet."""
        behind = [c for c in self._behind if c.person in persons]
        return in_order([*decisions_on(self.dataset, persons), *behind])

    def _own_decisions(self, persons: Sequence[int]) -> dict[tuple[int, str], Correction]:
        """(person, keypoint) -> this reviewer's decision that stands."""
        last = last_decisions([c for c in self._decisions_on(persons) if c.reviewer == self.reviewer])
        return {key: by[self.reviewer].correction for key, by in last.items()}

    def selected(self, labels: Sequence[Mapping[str, Any]], samples: Sequence[str]) -> list[tuple[str, int]]:
        """The people, (sample id, person), of FiftyOne's selection: those of the labels, or all on the samples."""
        chosen = {str(x["label_id"]) for x in labels}
        ids = [str(x["sample_id"]) for x in labels] or [str(i) for i in samples]
        found = []
        for sample, document in self._documents(ids).items():
            people = (document.get(PEOPLE) or {}).get("keypoints", ())
            others = [x for f in (HUMAN, CANDIDATES) for x in (document.get(f) or {}).get("keypoints", ())]
            boxes = (document.get(BOXES) or {}).get("detections", ())
            picked = {int(x["person"]) for x in (*people, *others, *boxes) if str(x["_id"]) in chosen}
            found += [(sample, int(x["person"])) for x in people if not chosen or int(x["person"]) in picked]
        return found

    def left_of(self, people: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """The points left of people, (sample id, person), as `decide` takes them, without id and verdict.

        Points outside the image are left out: they cannot be accepted.
        """
        found = []
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            for one in self.people(people[start : start + PEOPLE_AT_ONCE], None):
                for keypoint in one["ask"]:
                    point = one["points"][keypoint]
                    if not point["outside"] and keypoint not in one["mine"] and keypoint not in one["others"]:
                        whose = {"sample": one["sample"], "person": one["person"], "keypoint": keypoint}
                        found.append({**whose, "seen": [point["x"], point["y"]]})
        return found

    def progress(self) -> dict[str, Any]:
        """Points of the whole dataset: decided, left; this reviewer's, and their rate (None: too early to say)."""
        decided, left = self._sums()
        pace = Pace.of(self._times[-RECENT:])
        rate = pace.per_minute if pace.decisions >= FEWEST else None
        return {
            "decided": decided,
            "left": left,
            "mine": self._points,
            "per_minute": rate,
            "minutes_left": left / rate if rate else None,
        }

    def _sums(self) -> tuple[int, int]:
        sums = [{"$group": {"_id": None, "decided": {"$sum": "$decided"}, "left": {"$sum": "$to_review"}}}]
        found = list(sample_collection(self.dataset).aggregate(sums))
        return (int(found[0]["decided"]), int(found[0]["left"])) if found else (0, 0)

    def _documents(self, ids: Sequence[str]) -> dict[str, Any]:
        from bson import ObjectId
        from bson.errors import InvalidId

        try:
            wanted = [ObjectId(i) for i in dict.fromkeys(ids)]
        except InvalidId as error:
            raise AnnotextError(f"not a sample: {error}") from None
        fields = {"filepath": 1, "metadata": 1, **dict.fromkeys((PEOPLE, HUMAN, CANDIDATES, BOXES), 1)}
        return {str(d["_id"]): d for d in sample_collection(self.dataset).find({"_id": {"$in": wanted}}, fields)}

    def _now(self, i: int) -> str:
        """Later than all this reviewer decided before: the order of decisions is that of their times."""
        now = datetime.now(UTC)
        if self._times and now <= self._times[-1]:
            now = self._times[-1] + timedelta(microseconds=1)
        return (now + timedelta(microseconds=i)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _counts(c: Correction) -> bool:
    return c.verdict not in (Verdict.NOTE, Verdict.UNDO)


def _labels(dataset: Any, view: Any, wanted: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Sample ids and labels of a view, as `panel.people_of` takes them; in its order."""
    if getattr(view, "_is_patches", False):
        return _labels_of_patches(dataset, view, wanted)
    values = view.values(["id", *(f"{PEOPLE}.keypoints.{name}" for name in wanted)])
    samples = []
    for sample, *columns in zip(*values, strict=True):
        people = zip(*(c or () for c in columns), strict=True)
        samples.append((sample, [dict(zip(wanted, person, strict=True)) for person in people]))
    return samples


def _labels_of_patches(dataset: Any, view: Any, wanted: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The same of a view with a sample per person, whatever label of theirs it shows."""
    field = next(f for f in (PEOPLE, HUMAN, CANDIDATES, BOXES) if view.has_field(f))
    people = list(zip(*view.values(["sample_id", f"{field}.person"]), strict=True))
    whole = dict(_labels(dataset, dataset.select([sample for sample, _ in people]), wanted))
    return [(sample, [x for x in whole.get(sample, ()) if x["person"] == person]) for sample, person in people]


def _both(document: Mapping[str, Any], person: int) -> tuple[Mapping[str, Any], Mapping[str, Any] | None] | None:
    """A person's labels, the second one of candidates; None if they have none."""
    found = []
    for field in (PEOPLE, CANDIDATES):
        labels = (document.get(field) or {}).get("keypoints", ())
        found.append(next((x for x in labels if int(x["person"]) == person), None))
    return None if found[0] is None else (found[0], found[1])
