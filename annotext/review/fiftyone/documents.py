"""What FiftyOne is to show of an extended file, as its documents: one sample per image.

N people, K keypoints of the file's grown skeleton, A of them added, the last ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotext.core.additions import Additions, Decision, Source
from annotext.core.poses import Poses
from annotext.review.decisions.doubt import expected_wrong, lowest_score, open_points
from annotext.review.decisions.plausibility import PlausibilityIssue
from annotext.review.decisions.queue_file import QueuedPerson

PEOPLE, HUMAN, CANDIDATES, BOXES = "people", "human", "candidates", "boxes"
HUMAN_SOURCE = "human"
PERSON, CROWD = "person", "crowd"


@dataclass(frozen=True)
class DatasetContent:
    """What is shown of N people.

    poses: in the grown skeleton, labelled and written points. additions: of its A last keypoints. own: of the others,
    of people without labels who got pseudo-labels. limits: (A,), NaN where there is none. disagreement: (N,), NaN
    where unknown. issues: of these people. audit: (N, K) bool, the points of the random audit. images: I paths;
    sizes: I (width, height) in pixels; both None for images that are not content. queue: of these people, in order, if
    there is one.
    """

    poses: Poses
    additions: Additions
    limits: NDArray[np.float64]
    disagreement: NDArray[np.float64]
    issues: Sequence[PlausibilityIssue]
    audit: NDArray[np.bool_]
    images: Sequence[Path | None]
    sizes: Sequence[tuple[int, int] | None]
    own: Additions | None = None
    queue: Sequence[QueuedPerson] | None = None


def samples(content: DatasetContent, fo: Any) -> Iterator[Any]:
    """A `fiftyone.Sample` per image with people, in file order; fo: the fiftyone module. Nothing is saved."""
    people = _People(content)
    rows_of: dict[int, list[int]] = {}
    for row, image in enumerate(content.poses.image_index.tolist()):
        rows_of.setdefault(image, []).append(row)
    for image in sorted(rows_of):
        path, size = content.images[image], content.sizes[image]
        if path is None or size is None:
            raise ValueError(f"image {image} has people, and no path or size")
        keypoints, human, candidates, boxes = [], [], [], []
        for index, row in enumerate(rows_of[image]):
            boxes.append(people.box(row, index, size, fo))
            if people.has_points[row]:
                keypoints.append(people.keypoint(row, index, size, fo))
            if people.has_human[row]:
                human.append(people.human(row, index, size, fo))
            if people.has_candidates[row]:
                candidates.append(people.candidates(row, index, size, fo))
        labels = {
            PEOPLE: fo.Keypoints(keypoints=keypoints),
            HUMAN: fo.Keypoints(keypoints=human),
            CANDIDATES: fo.Keypoints(keypoints=candidates),
            BOXES: fo.Detections(detections=boxes),
        }
        sample = fo.Sample(
            filepath=str(path),
            metadata=fo.ImageMetadata(width=size[0], height=size[1]),
            image_index=image,
            **labels,
            **people.of_image(rows_of[image]),
        )
        yield sample


class _People:
    """The arrays of `DatasetContent` as lists of JSON values, K of each per person."""

    def __init__(self, content: DatasetContent) -> None:
        poses, additions = content.poses, content.additions
        n, k = poses.visibility.shape
        self.names = poses.skeleton.keypoints
        self.ids = poses.ids.tolist()
        self.crowd = poses.crowd.tolist()
        self.bbox = poses.bbox_xywh
        self.area = _or_none(poses.area)
        self.xy = poses.xy

        estimate, radius = np.full((n, k, 2), np.nan), np.zeros((n, k))
        withheld, human = np.zeros((n, k), dtype=bool), poses.labelled.copy()
        score = np.ones((n, k))
        source, decision = np.full((n, k), HUMAN_SOURCE, dtype=object), np.full((n, k), HUMAN_SOURCE, dtype=object)
        reason, reviewed = np.full((n, k), "", dtype=object), np.full((n, k), "", dtype=object)
        for part in (additions, *([content.own] if content.own is not None else [])):
            columns = poses.skeleton.indices(part.keypoints)
            mine = np.zeros((n, k), dtype=bool)
            mine[:, columns] = part.source != Source.NONE
            there = mine[:, columns]
            human &= ~mine
            score[:, columns] = np.where(there, part.score, 1.0)
            radius[:, columns] = np.nan_to_num(part.radius)
            source[mine] = _texts(part.source[there])
            decision[mine] = _texts(part.decision[there])
        columns = poses.skeleton.indices(additions.keypoints)
        estimate[:, columns] = additions.xy
        withheld[:, columns] = additions.withheld
        reason[:, columns] = [_texts(row) for row in additions.reason]
        reviewed[:, columns] = [[r.verdict if r else "" for r in row] for row in additions.review.tolist()]
        nobody = ~human & (source == HUMAN_SOURCE)
        source[nobody], decision[nobody] = str(Source.NONE), str(Decision.NONE)

        self.human_xy = np.where(human[..., None], poses.xy, np.nan)
        self.candidate_xy = np.where(withheld[..., None], estimate, np.nan)
        self.source, self.decision, self.reason = source.tolist(), decision.tolist(), reason.tolist()
        self.reviewed = reviewed.tolist()
        self.visible = poses.visibility.astype(int).tolist()
        self.radius = radius.tolist()
        self.confidence = np.where(poses.labelled, score, 0.0).tolist()
        self.candidate_confidence = np.where(withheld, score, 0.0).tolist()

        lowest, wrong = lowest_score(additions), expected_wrong(additions)
        self.lowest, self.wrong, self.disagreement = _or_none(lowest), wrong.tolist(), _or_none(content.disagreement)
        is_open = open_points(additions, content.limits, derived=True)
        held = is_open & (additions.decision == Decision.WITHHOLD)
        self.left = is_open.sum(axis=1).tolist()
        self.decided = (additions.review != None).sum(axis=1).tolist()  # noqa: E711
        added = np.array(additions.keypoints, dtype=object)
        self.below = _names(added, is_open & ~held)
        self.withheld = _names(added, held)
        self.audit = _names(np.array(self.names, dtype=object), content.audit)
        # A person's with their numbers; an image's without, so that equal ones can be picked in the sidebar.
        self.findings: list[list[str]] = [[] for _ in range(n)]
        self.explained: list[list[str]] = [[] for _ in range(n)]
        for issue in content.issues:
            self.findings[issue.row].append(str(issue))
            self.explained[issue.row].append(issue.explained())

        self.queued = (
            None if content.queue is None else {p.id: (i, p.keypoints) for i, p in enumerate(content.queue, 1)}
        )

        self.has_human: list[bool] = np.asarray(human.any(axis=1)).tolist()
        self.has_candidates: list[bool] = np.asarray(withheld.any(axis=1)).tolist()
        self.has_points: list[bool] = np.asarray(poses.labelled.any(axis=1) | withheld.any(axis=1)).tolist()

    def keypoint(self, row: int, index: int, size: tuple[int, int], fo: Any) -> Any:
        return fo.Keypoint(
            label=PERSON,
            index=index,
            points=_relative(self.xy[row], size),
            confidence=self.confidence[row],
            person=self.ids[row],
            source=self.source[row],
            decision=self.decision[row],
            visible=self.visible[row],
            radius_px=self.radius[row],
            bbox_px=self.bbox[row].tolist(),
            area_px=self.area[row],
            lowest=self.lowest[row],
            expected_wrong=self.wrong[row],
            disagreement=self.disagreement[row],
            findings=self.explained[row],
            reviewed=self.reviewed[row],
            left=self.left[row],
            below=self.below[row],
            withheld=self.withheld[row],
            audit=self.audit[row],
            **self._in_queue(row, names=True),
        )

    def human(self, row: int, index: int, size: tuple[int, int], fo: Any) -> Any:
        return fo.Keypoint(
            label=HUMAN_SOURCE, index=index, points=_relative(self.human_xy[row], size), person=self.ids[row]
        )

    def candidates(self, row: int, index: int, size: tuple[int, int], fo: Any) -> Any:
        return fo.Keypoint(
            label="candidate",
            index=index,
            points=_relative(self.candidate_xy[row], size),
            confidence=self.candidate_confidence[row],
            person=self.ids[row],
            source=self.source[row],
            decision=self.decision[row],
            radius_px=self.radius[row],
            reason=self.reason[row],
            reviewed=self.reviewed[row],
            below=self.below[row],
            withheld=self.withheld[row],
            **self._in_queue(row, names=False),
        )

    def _in_queue(self, row: int, *, names: bool) -> dict[str, Any]:
        """A person's place in the queue, and the points it is about; nothing where there is no queue."""
        if self.queued is None:
            return {}
        rank, keypoints = self.queued.get(self.ids[row], (None, ()))
        return {"queue_rank": rank, **({"queued": list(keypoints)} if names else {})}

    def box(self, row: int, index: int, size: tuple[int, int], fo: Any) -> Any:
        left, top, width, height = (self.bbox[row] / [*size, *size]).tolist()
        label = CROWD if self.crowd[row] else PERSON
        return fo.Detection(label=label, index=index, bounding_box=[left, top, width, height], person=self.ids[row])

    def of_image(self, rows: Sequence[int]) -> dict[str, Any]:
        ranks = [r for row in rows if (r := self._in_queue(row, names=False).get("queue_rank"))]
        return {
            **({} if self.queued is None else {"queue_rank": min(ranks, default=None)}),
            "lowest": min((v for r in rows if (v := self.lowest[r]) is not None), default=None),
            "expected_wrong": float(sum(self.wrong[r] for r in rows)),
            "disagreement": max((v for r in rows if (v := self.disagreement[r]) is not None), default=None),
            "findings": list(dict.fromkeys(f for r in rows for f in self.findings[r])),
            "to_review": sum(self.left[r] for r in rows),
            "decided": sum(self.decided[r] for r in rows),
            "audit": any(self.audit[r] for r in rows),
        }


def _relative(xy: NDArray[np.float64], size: tuple[int, int]) -> list[tuple[float, float]]:
    """(K, 2) image pixels -> FiftyOne's coordinates, shares of the image's width and height; NaN stays NaN."""
    return [(x, y) for x, y in (xy / size).tolist()]


def _texts(values: NDArray[np.object_]) -> list[str]:
    return [str(v) for v in values.tolist()]


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [v if np.isfinite(v) else None for v in values.tolist()]


def _names(names: NDArray[np.object_], chosen: NDArray[np.bool_]) -> list[list[str]]:
    """Per person the names of the chosen keypoints."""
    return [names[row].tolist() if row.any() else [] for row in chosen]
