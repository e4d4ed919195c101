"""How a dataset under review looks in FiftyOne: its saved views, colours, sidebar and workspace.

Views filter whole people, never single points: a filtered point would be NaN and take its limbs out of the skeleton.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotext.core.skeleton import Skeleton
from annotext.review.decisions.doubt import DISAGREE_FROM
from annotext.review.fiftyone.documents import BOXES, CANDIDATES, HUMAN, PEOPLE

WORST, DISAGREE, IMPLAUSIBLE, WITHHELD = "worst first", "predictors disagree", "implausible", "withheld"
AUDIT, DECIDED, QUEUE = "random audit", "decided", "queue"

# Told apart by people with red-green blindness too, on skin and on grass (Okabe and Ito's palette, 2008).
ADDED_COLOUR, HUMAN_COLOUR, CANDIDATE_COLOUR, BOX_COLOUR = "#E69F00", "#56B4E9", "#CC79A7", "#BBBBBB"

DESCRIPTIONS = {
    "lowest": "The lowest score of an added point nobody has decided about.",
    "expected_wrong": "How many undecided added points to expect wrong: the sum of 1 - score.",
    "disagreement": "How far predictors are apart about an added point, in sizes of the person; the largest.",
    "findings": "What looks wrong: impossible limbs, points far outside the box, swapped sides.",
    "to_review": "Points still to be decided: asked about, below their limit, or withheld.",
    "decided": "Points a reviewer has decided about.",
    "audit": "Whether a point of the random audit is on this image.",
    "queue_rank": "The place in the queue of the first of its people, from 1.",
    "image_index": "The image's position in the annotation file.",
    PEOPLE: "Everybody with keypoints: labelled and added points, lines to added ones orange.",
    HUMAN: "What a person labelled; never changes.",
    CANDIDATES: "Points withheld: not in the file as labels.",
    BOXES: "The boxes of the annotation file.",
}


def below_view(keypoint: str) -> str:
    """The name of the view of a keypoint's doubtful points."""
    return f"{keypoint} below its limit"


def save_views(
    dataset: Any, added: Sequence[str], *, audit: int, seed: int, disagreement: bool, queued: int | None = None
) -> list[str]:
    """Save the views of a dataset, in the order a reviewer wants them; their names.

    added: the keypoints that may be reviewed. audit: points in the random audit, drawn by `seed`. disagreement: whether
    any is known. queued: people of a queue file, if there is one.
    """
    views: dict[str, tuple[Any, str]] = {}
    if queued is not None:
        views[QUEUE] = (in_queue(dataset), f"The {queued} people of the queue file, in its order.")
    views[WORST] = (worst_first(dataset), "Images with points to review, most wrong ones to expect first.")
    for keypoint in added:
        views[below_view(keypoint)] = (
            below_limit(dataset, keypoint),
            f"People whose {keypoint} is asked about, or scored below what is added unseen; the lowest score first.",
        )
    if disagreement:
        views[DISAGREE] = (
            disagreeing(dataset),
            f"People about whom predictors are {DISAGREE_FROM} of a person's size apart or more; largest first.",
        )
    views[IMPLAUSIBLE] = (
        implausible(dataset),
        "People with impossible limbs, points far outside the box, swapped sides.",
    )
    views[WITHHELD] = (withheld(dataset), "People with points kept back as candidates: is one of them right after all?")
    views[AUDIT] = (
        audited(dataset),
        f"{audit} predicted and added points drawn by chance (seed {seed}), each equally likely: judge all, and the "
        "share of wrong ones estimates that of all such points.",
    )
    views[DECIDED] = (decided(dataset), "Images with decisions, whoever made them.")
    for name, (view, description) in views.items():
        dataset.save_view(name, view, description=description)
    return list(views)


def _field(name: str) -> Any:
    from fiftyone.core.expressions import ViewField

    return ViewField(name)


def worst_first(dataset: Any) -> Any:
    """Samples with points to review, most wrong points to expect first; those with withheld ones only come last."""
    return dataset.match(_field("to_review") > 0).sort_by("expected_wrong", reverse=True)


def in_queue(dataset: Any) -> Any:
    """People of the queue, with their candidates; the image of the first one first."""
    return _of_people(dataset, _field("queue_rank") != None).sort_by("queue_rank")  # noqa: E711


def below_limit(dataset: Any, keypoint: str) -> Any:
    """People whose `keypoint` is doubtful, with their candidates; most doubtful images first."""
    doubtful = _field("below").contains(keypoint)
    return _of_people(dataset, doubtful).sort_by("lowest")


def disagreeing(dataset: Any) -> Any:
    """People about whom predictors disagree, largest disagreement first."""
    apart = dataset.filter_labels(PEOPLE, _field("disagreement") >= DISAGREE_FROM)
    return apart.sort_by("disagreement", reverse=True)


def implausible(dataset: Any) -> Any:
    """People with findings."""
    return dataset.filter_labels(PEOPLE, _field("findings").length() > 0)


def withheld(dataset: Any) -> Any:
    """People with undecided withheld points, and these."""
    return _of_people(dataset, _field("withheld").length() > 0)


def audited(dataset: Any) -> Any:
    """People with points of the random audit."""
    return dataset.filter_labels(PEOPLE, _field("audit").length() > 0)


def decided(dataset: Any) -> Any:
    """Samples with a decision."""
    return dataset.match(_field("decided") > 0)


def _of_people(dataset: Any, matching: Any) -> Any:
    return dataset.filter_labels(PEOPLE, matching).filter_labels(CANDIDATES, matching, only_matches=False)


def dress(dataset: Any, skeleton: Skeleton, fo: Any) -> None:
    """Give the dataset its skeleton, colours, sidebar groups and descriptions. Saves it."""
    names, edges = list(skeleton.keypoints), skeleton.edge_index.tolist()
    dataset.default_skeleton = fo.KeypointSkeleton(labels=names, edges=edges)
    # Lines between candidates would join points that belong to nothing.
    dataset.skeletons = {CANDIDATES: fo.KeypointSkeleton(labels=names, edges=[])}
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="field",
        show_skeletons=True,
        multicolor_keypoints=False,
        opacity=0.8,
        fields=[
            {"path": PEOPLE, "fieldColor": ADDED_COLOUR},
            {"path": HUMAN, "fieldColor": HUMAN_COLOUR},
            {"path": CANDIDATES, "fieldColor": CANDIDATE_COLOUR},
            {"path": BOXES, "fieldColor": BOX_COLOUR},
        ],
    )
    # Whole fields only: attributes of labels show under their field, and break the App's sample view in a group.
    groups = {
        "points": ([CANDIDATES, HUMAN, PEOPLE, BOXES], True),
        "doubt": (["expected_wrong", "lowest", "disagreement", "findings"], True),
        "progress": (["to_review", "decided", "audit"], True),
        "metadata": (["tags", "filepath", "image_index", "id", "created_at", "last_modified_at", "metadata"], False),
    }
    placed = {path for paths, _ in groups.values() for path in paths}
    known = [path for group in fo.DatasetAppConfig.default_sidebar_groups(dataset) for path in group.paths]
    rest = [path for path in known if path not in placed]
    dataset.app_config.sidebar_groups = [
        *(fo.SidebarGroupDocument(name=n, paths=p, expanded=e) for n, (p, e) in groups.items()),
        fo.SidebarGroupDocument(name="more", paths=rest, expanded=False),
    ]
    dataset.app_config.active_fields = fo.core.odm.dataset.ActiveFields(
        exclude=False, paths=[CANDIDATES, HUMAN, PEOPLE]
    )
    for path, description in DESCRIPTIONS.items():
        field = dataset.get_field(path)
        if field is None:  # there is no queue
            continue
        field.description = description
        field.save()
    dataset.save()
