"""`annotext review build`: the dataset shows exactly what the extended file says, and is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from dots import coco_document
from people import perturbed, random_people

from annotext.core.additions import Additions, Decision, Reason, Source, default_decision
from annotext.core.errors import AnnotextError, InputError
from annotext.core.poses import Poses
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, MPII16, UNION21
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.formats.overlay.pseudo_labels import Unlabelled
from annotext.formats.overlay.write import write_extended
from annotext.review.decisions.queue_file import QueuedPerson, QueueFile, write_queue

WIDTH, HEIGHT = 640, 480
LIMIT = 0.8
PEOPLE, IMAGES = 40, 12


def write_images(folder: Path, poses: Poses) -> None:
    folder.mkdir()
    for image in poses.images:
        assert cv2.imwrite(str(folder / image.file_name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def mpii_document(poses: Poses) -> list[dict[str, Any]]:
    return [
        {
            "joints_vis": [int(v > 0) for v in poses.visibility[i]],
            "joints": [[x + 1, y + 1] if v else [-1, -1] for (x, y), v in zip(xy, poses.visibility[i], strict=True)],
            "image": poses.images[poses.image_index[i]].file_name,
            "scale": 0.5,
            "center": (poses.bbox_xywh[i, :2] + 50).tolist(),
        }
        for i, xy in enumerate(np.nan_to_num(poses.xy).tolist())
    ]


def additions_for(poses: Poses, seed: int = 0) -> Additions:
    """Every kind of point, inside and outside the picture; nothing for crowds and people without labels."""
    rng = np.random.default_rng(seed)
    keypoints = UNION21.missing_from(poses.skeleton)
    shape = (len(poses), len(keypoints))
    visibility = rng.integers(0, 3, shape).astype(np.uint8)
    estimated = ((visibility > 0) | (rng.random(shape) < 0.6)) & (poses.has_keypoints & ~poses.crowd)[:, None]
    visibility[~estimated] = 0
    source = np.where(rng.random(shape) < 0.2, Source.DERIVED, Source.STUDENT).astype(object)
    source[:] = [[Source(s) for s in row] for row in source]
    source[~estimated] = Source.NONE
    decision = default_decision(estimated, visibility)
    decision[(decision == Decision.WITHHOLD) & (rng.random(shape) < 0.5)] = Decision.ASK
    reason = np.full(shape, Reason.ADDED, dtype=object)
    reason[decision == Decision.ASK] = Reason.TO_ASK
    reason[decision == Decision.WITHHOLD] = Reason.LOW_SCORE
    return Additions(
        keypoints=keypoints,
        xy=np.where(estimated[..., None], rng.uniform(0, 400, (*shape, 2)).round(2), np.nan),
        visibility=visibility,
        source=source,
        score=np.where(estimated, rng.random(shape).round(4), 0.0),
        radius=np.where(estimated & (rng.random(shape) < 0.7), (20 * rng.random(shape)).round(2), np.nan),
        decision=decision,
        reason=reason,
    )


def make_extended(folder: Path, kind: str) -> Path:
    """`extended.json` of random people, with `images` and, for COCO, `said.parquet` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    skeleton = COCO17 if kind == "coco" else MPII16
    poses = random_people(skeleton, PEOPLE, images=IMAGES, crowds=0.1 if kind == "coco" else 0.0)
    write_images(folder / "images", poses)
    document = coco_document(poses) if kind == "coco" else mpii_document(poses)
    (folder / "people.json").write_text(json.dumps(document))
    file = read_annotations(folder / "people.json")
    additions = additions_for(file.poses)
    limits = {k: {"add_from": LIMIT, "ask_from": 0.5} for k in additions.keypoints[:-1]}
    write_extended(file, additions, {"policy": {"limits": limits}}, folder / "extended.json", force=True)
    whole = replace(file.poses.to(UNION21), area=file.poses.bbox_xywh[:, 2:].prod(axis=1))
    said = [
        Predictions(
            PredictorIdentity(name, "ab" * 32, Source.STUDENT),
            UNION21,
            file.poses.ids,
            tuple(file.poses.file_names()),
            perturbed(whole, seed=seed)[0].astype(np.float32),
            np.full((len(file.poses), 21), 0.5, np.float32),
        )
        for seed, name in enumerate(["one", "two"])
    ]
    write_predictions(folder / "said.parquet", said, input_sha256=file.sha256, force=True)
    return folder / "extended.json"


@pytest.fixture(scope="module", params=["coco", "mpii"])
def built(
    request: pytest.FixtureRequest, fo: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, AnnotationFile]]:
    """The dataset, and the file it shows."""
    from annotext.workflows.review_build import build_review

    extended = make_extended(tmp_path_factory.mktemp(request.param), request.param)
    name = f"built from {request.param}"
    said = [extended.parent / "said.parquet"]
    build_review(extended, extended.parent / "images", name=name, predictions=said, audit=10, seed=3)
    yield fo.load_dataset(name), read_annotations(extended)
    fo.delete_dataset(name)


@pytest.fixture(scope="module")
def extended(fo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_extended(tmp_path_factory.mktemp("people"), "coco")


def labels_of(dataset: Any, field: str) -> dict[int, tuple[Any, Any]]:
    """person -> its sample and label."""
    found: dict[int, tuple[Any, Any]] = {}
    for sample in dataset:
        for label in sample[field].keypoints:
            assert label["person"] not in found, "a person is there twice"
            found[label["person"]] = sample, label
    return found


def pixels(label: Any) -> np.ndarray:
    """(K, 2) image pixels."""
    return np.array(label.points) * (WIDTH, HEIGHT)


def shown_people(file: AnnotationFile) -> np.ndarray:
    assert file.additions is not None
    return file.poses.has_keypoints | (file.additions.source != Source.NONE).any(axis=1)


def test_every_person_with_keypoints_is_there_once_on_its_image(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    rows = np.flatnonzero(shown_people(file))
    people = labels_of(dataset, "people")
    assert sorted(people) == sorted(file.poses.ids[rows].tolist())
    for row in rows:
        sample, _ = people[int(file.poses.ids[row])]
        image = int(file.poses.image_index[row])
        assert Path(sample.filepath).name == file.poses.images[image].file_name
        assert sample["image_index"] == image
        assert (sample.metadata.width, sample.metadata.height) == (WIDTH, HEIGHT)


def test_points_stand_where_the_file_has_them_and_nowhere_else(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    people = labels_of(dataset, "people")
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.poses.ids[row])]
        np.testing.assert_allclose(pixels(label), file.poses.xy[row], atol=1e-9)
        assert label["visible"] == file.poses.visibility[row].tolist()


def test_each_point_says_who_made_it_how_sure_it_is_and_what_was_decided(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    columns = file.poses.skeleton.indices(additions.keypoints)
    own = [k for k in range(21) if k not in columns]
    people = labels_of(dataset, "people")
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.poses.ids[row])]
        labelled = file.poses.labelled[row]
        assert [label["source"][k] for k in own] == ["human" if labelled[k] else "none" for k in own]
        assert [label.confidence[k] for k in own] == [float(labelled[k]) for k in own]
        assert [label["source"][k] for k in columns] == [str(s) for s in additions.source[row]]
        assert [label["decision"][k] for k in columns] == [str(d) for d in additions.decision[row]]
        expected = np.where(additions.added[row], additions.score[row], 0.0)
        assert [label.confidence[k] for k in columns] == expected.tolist()
        assert [label["radius_px"][k] for k in columns] == np.nan_to_num(additions.radius[row]).tolist()
        assert label["bbox_px"] == file.poses.bbox_xywh[row].tolist()


def test_no_score_is_ever_nan(built: tuple[Any, AnnotationFile]) -> None:
    dataset, _ = built
    for field in ("people", "candidates"):
        assert np.isfinite(np.array(dataset.values(f"{field}.keypoints.confidence", unwind=True), dtype=float)).all()
    low, high = dataset.bounds("people.keypoints.confidence")
    assert (low, high) == (0.0, 1.0)


def test_human_points_are_shown_alone_too(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    assert file.additions is not None
    columns = file.poses.skeleton.indices(file.additions.keypoints)
    human = labels_of(dataset, "human")
    for row in range(len(file.poses)):
        expected = file.poses.xy[row].copy()
        expected[columns] = np.nan
        person = int(file.poses.ids[row])
        assert (person in human) == bool(np.isfinite(expected).any())
        if person in human:
            np.testing.assert_allclose(pixels(human[person][1]), expected, atol=1e-9)


def test_withheld_points_are_candidates_and_nothing_else(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    columns = file.poses.skeleton.indices(additions.keypoints)
    candidates, people = labels_of(dataset, "candidates"), labels_of(dataset, "people")
    rows = np.flatnonzero(additions.withheld.any(axis=1))
    assert sorted(candidates) == sorted(file.poses.ids[rows].tolist())
    assert len(rows)
    for row in rows:
        person = int(file.poses.ids[row])
        sample, label = candidates[person]
        expected = np.full((21, 2), np.nan)
        expected[columns] = np.where(additions.withheld[row][:, None], additions.xy[row], np.nan)
        np.testing.assert_allclose(pixels(label), expected, atol=1e-9)
        withheld = additions.withheld[row]
        assert [r for r, w in zip(np.array(label["reason"])[columns], withheld, strict=True) if w] == [
            str(r) for r in additions.reason[row][withheld]
        ]
        assert label.index == people[person][1].index
        assert sample.id == people[person][0].id


def test_doubt_is_that_of_points_written_or_asked_about(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    people = labels_of(dataset, "people")
    counts = (additions.added | (additions.decision == Decision.ASK)) & (additions.source != Source.NONE)
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.poses.ids[row])]
        scores = additions.score[row][counts[row]]
        assert label["lowest"] == (scores.min() if len(scores) else None)
        assert label["expected_wrong"] == pytest.approx((1 - scores).sum())
    for sample in dataset:
        on_it = sample["people"].keypoints
        assert sample["expected_wrong"] == pytest.approx(sum(k["expected_wrong"] for k in on_it))
        assert sample["to_review"] == sum(k["left"] for k in on_it)
        assert sample["lowest"] == min((k["lowest"] for k in on_it if k["lowest"] is not None), default=None)
        assert sample["decided"] == 0


def test_a_derived_point_is_never_below_its_limit(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    people = labels_of(dataset, "people")
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.poses.ids[row])]
        for column, keypoint in enumerate(additions.keypoints):
            limited = column < len(additions.keypoints) - 1  # the last keypoint has no limit
            low = additions.score[row, column] < LIMIT and additions.source[row, column] == Source.STUDENT
            expected = additions.asked[row, column] or bool(limited and additions.added[row, column] and low)
            assert (keypoint in label["below"]) == expected


def test_the_views_come_in_the_order_a_reviewer_wants_them(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    assert file.additions is not None
    expected = ["worst first", *(f"{k} below its limit" for k in file.additions.keypoints)]
    expected += ["predictors disagree", "implausible", "withheld", "random audit", "decided"]
    assert dataset.list_saved_views() == expected
    assert all(dataset.get_saved_view_info(name)["description"] for name in expected)


def test_worst_first_begins_with_most_wrong_points_to_expect(built: tuple[Any, AnnotationFile]) -> None:
    dataset, _ = built
    values = dataset.load_saved_view("worst first").values("expected_wrong")
    assert values == sorted(values, reverse=True)
    assert len(values) == sum(v > 0 for v in dataset.values("to_review"))


def test_worst_first_ends_with_people_of_whom_all_was_withheld(extended: Path, fo: ModuleType) -> None:
    from annotext.workflows.review_build import build_review

    file = read_annotations(extended)
    assert file.additions is not None and file.header is not None
    rows = np.flatnonzero(file.poses.image_index == file.poses.image_index[file.poses.has_keypoints][0])
    visibility, decision = file.additions.visibility.copy(), file.additions.decision.copy()
    reason = file.additions.reason.copy()
    there = np.isin(np.arange(len(file.poses)), rows)[:, None] & (file.additions.source != Source.NONE)
    visibility[there], decision[there], reason[there] = 0, Decision.WITHHOLD, Reason.LOW_SCORE
    additions = replace(file.additions, visibility=visibility, decision=decision, reason=reason)
    plain = read_annotations(extended.parent / "people.json")
    write_extended(plain, additions, {"policy": {}}, extended.parent / "held.json", force=True)
    build_review(extended.parent / "held.json", extended.parent / "images", name="held")
    shown = fo.load_dataset("held").load_saved_view("worst first")
    wrong = shown.values("expected_wrong")
    assert wrong[-1] == 0 and wrong == sorted(wrong, reverse=True)
    assert shown.values("image_index")[-1] == file.poses.image_index[rows[0]]
    fo.delete_dataset("held")


def queue_of(file: AnnotationFile, seed: int = 0) -> QueueFile:
    """Half of the people with added points, in some order; each about one point."""
    assert file.additions is not None
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(file.additions.added.any(axis=1)))
    people = []
    for row in rows[: len(rows) // 2]:
        keypoint = file.additions.keypoints[int(np.flatnonzero(file.additions.added[row])[-1])]
        people.append(QueuedPerson(int(file.poses.ids[row]), (keypoint,)))
    return QueueFile(file.sha256, "random", seed, tuple(people))


def test_a_queue_is_the_first_view_and_asks_in_its_order_about_its_points(
    extended: Path, fo: ModuleType, tmp_path: Path
) -> None:
    from annotext.review.fiftyone.service import ReviewService
    from annotext.workflows.review_build import build_review

    wanted = queue_of(read_annotations(extended))
    write_queue(wanted, tmp_path / "queue.json", force=False)
    build_review(extended, extended.parent / "images", name="queued", queue=tmp_path / "queue.json")
    dataset = fo.load_dataset("queued")
    assert dataset.list_saved_views()[:2] == ["queue", "worst first"]
    desk = ReviewService(dataset, "ann")
    view = dataset.load_saved_view("queue")
    rows = desk.queue(view)["rows"]
    assert [person for _, person, _ in rows] == list(wanted.ids)
    assert [left for _, _, left in rows] == [1] * len(rows)
    shown = desk.people([(sample, person) for sample, person, _ in rows], "queue")
    assert [tuple(p["ask"]) for p in shown] == [p.keypoints for p in wanted.people]
    first = shown[0]
    point = first["points"][first["ask"][0]]
    said = {"id": "c" * 32, "sample": first["sample"], "person": first["person"], "keypoint": first["ask"][0]}
    desk.decide([{**said, "verdict": "absent", "seen": [point["x"], point["y"]]}])
    after = dataset.load_saved_view("queue")
    assert [person for _, person, _ in desk.queue(after)["rows"]] == list(wanted.ids[1:])
    assert first["person"] in labels_of(after, "candidates")  # what was decided stays in point_context
    fo.delete_dataset("queued")


def test_a_queue_of_another_file_or_of_strangers_is_refused(extended: Path, tmp_path: Path) -> None:
    from annotext.workflows.review_build import build_review

    images, other = extended.parent / "images", tmp_path / "queue.json"
    sha256 = read_annotations(extended).sha256
    write_queue(QueueFile("0" * 64, "random", 0, ()), other, force=False)
    with pytest.raises(InputError, match="queue of another extended file"):
        build_review(extended, images, queue=other)
    strangers = (QueuedPerson(10**9, ("pelvis",)), QueuedPerson(1, ("nose",)))
    write_queue(QueueFile(sha256, "random", 0, strangers), other, force=True)
    with pytest.raises(InputError) as failed:
        build_review(extended, images, queue=other)
    assert "1000000000 is nobody" in str(failed.value)
    assert "nose was not added" in str(failed.value)


def test_a_view_of_a_keypoint_shows_whole_people_of_whom_it_is_doubtful(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    assert file.additions is not None
    everybody = labels_of(dataset, "people")
    for keypoint in file.additions.keypoints:
        shown = labels_of(dataset.load_saved_view(f"{keypoint} below its limit"), "people")
        assert set(shown) == {p for p, (_, k) in everybody.items() if keypoint in k["below"]}
        for person, (_, label) in shown.items():
            np.testing.assert_array_equal(label.points, everybody[person][1].points)


def test_withheld_shows_people_with_candidates_nobody_is_asked_about(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    rows = np.flatnonzero((additions.decision == Decision.WITHHOLD).any(axis=1))
    view = dataset.load_saved_view("withheld")
    assert set(labels_of(view, "people")) == set(file.poses.ids[rows].tolist())
    assert set(labels_of(view, "candidates")) == set(file.poses.ids[rows].tolist())


def test_the_audit_is_drawn_from_points_that_were_predicted_and_added(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    audit = dataset.info["annotext"]["audit"]
    assert audit["seed"] == 3
    assert len({tuple(p) for p in audit["points"]}) == len(audit["points"]) == 10
    row_of = {int(i): row for row, i in enumerate(file.poses.ids)}
    for person, keypoint in audit["points"]:
        cell = row_of[person], additions.keypoints.index(keypoint)
        assert additions.decision[cell] == Decision.ADD
        assert additions.source[cell] == Source.STUDENT
    shown = labels_of(dataset.load_saved_view("random audit"), "people")
    assert sorted([p, k] for p, (_, label) in shown.items() for k in label["audit"]) == sorted(audit["points"])


def test_disagreement_is_known_and_never_nan(built: tuple[Any, AnnotationFile]) -> None:
    dataset, _ = built
    values = [v for v in dataset.values("people.keypoints.disagreement", unwind=True) if v is not None]
    assert values and all(v >= 0 for v in values)
    shown = dataset.load_saved_view("predictors disagree").values("disagreement")
    assert shown == sorted(shown, reverse=True)


def test_the_dataset_says_which_file_it_shows(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    assert file.additions is not None and file.header is not None
    info = dataset.info["annotext"]
    assert info["extended"] == str(file.path.resolve())
    assert info["extended_sha256"] == file.sha256
    assert info["input_sha256"] == file.header["input_sha256"]
    assert info["kind"] == file.kind
    assert info["skeleton"] == list(file.poses.skeleton.keypoints)
    assert info["added"] == list(file.additions.keypoints)
    assert info["limits"] == dict.fromkeys(info["added"][:-1], LIMIT) | {info["added"][-1]: None}
    assert info["journal"] == str(file.path.resolve()) + ".review"
    assert dataset.default_skeleton.labels == info["skeleton"]
    assert dataset.persistent


def without_ids(dataset: Any) -> list[dict[str, Any]]:
    """The samples as documents, without what is new in every build."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            new = ("_id", "_dataset_id", "_rand", "created_at", "last_modified_at")
            return {k: plain(v) for k, v in value.items() if k not in new}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return "nan" if isinstance(value, float) and np.isnan(value) else value

    return [plain(sample.to_mongo_dict()) for sample in dataset]


def test_building_again_gives_the_same_documents(built: tuple[Any, AnnotationFile], fo: ModuleType) -> None:
    from annotext.workflows.review_build import build_review

    dataset, file = built
    before, name = without_ids(dataset), "built again"
    for overwrite in (False, True):
        build_review(
            file.path,
            file.path.parent / "images",
            name=name,
            overwrite=overwrite,
            predictions=[file.path.parent / "said.parquet"],
            audit=10,
            seed=3,
        )
        again = fo.load_dataset(name)
        assert without_ids(again) == before
        assert again.info == dataset.info
    assert not [n for n in fo.list_datasets() if "unfinished" in n]
    fo.delete_dataset(name)


def test_people_labelled_whole_show_points_nobody_is_asked_about(fo: ModuleType, tmp_path: Path) -> None:
    from annotext.workflows.review_build import build_review

    poses = random_people(COCO17, 6, images=3, crowds=0, unlabelled_people=0)
    nobody = np.arange(6) == 2
    poses = replace(
        poses,
        xy=np.where(nobody[:, None, None], np.nan, poses.xy),
        visibility=np.where(nobody[:, None], 0, poses.visibility).astype(np.uint8),
    )
    write_images(tmp_path / "images", poses)
    (tmp_path / "people.json").write_text(json.dumps(coco_document(poses)))
    file = read_annotations(tmp_path / "people.json")
    there = np.broadcast_to(nobody[:, None], (6, 17))
    own = Additions(
        COCO17.keypoints,
        np.where(there[..., None], np.repeat(50.0 + np.arange(17)[:, None], 2, axis=1), np.nan),
        np.where(there, 2, 0).astype(np.uint8),
        np.array([[Source.TEACHER if t else Source.NONE for t in row] for row in there], dtype=object),
        np.where(there, 0.75, 0.0),
    )
    added = Additions.nothing(6, ("thorax",))
    unlabelled = Unlabelled(own)
    write_extended(file, added, {}, tmp_path / "extended.json", force=True, unlabelled=unlabelled)
    build_review(tmp_path / "extended.json", tmp_path / "images", name="whole")
    dataset = fo.load_dataset("whole")
    person = int(poses.ids[2])
    _, label = labels_of(dataset, "people")[person]
    assert label["source"] == ["teacher"] * 17 + ["none"]
    assert label.confidence == [0.75] * 17 + [0.0]
    np.testing.assert_allclose(pixels(label)[:17, 0], 50 + np.arange(17), atol=1e-9)
    assert label["left"] == 0 and label["lowest"] is None
    assert person not in labels_of(dataset, "human")
    fo.delete_dataset("whole")


def test_what_was_reviewed_before_is_shown_as_decided(fo: ModuleType, tmp_path: Path) -> None:
    from annotext.review.decisions.correction import Correction, Point, Verdict
    from annotext.review.decisions.files import append_corrections
    from annotext.workflows.apply import apply
    from annotext.workflows.review_build import build_review

    extended = make_extended(tmp_path / "reviewed", "coco")
    file = read_annotations(extended)
    assert file.additions is not None
    row, column = np.argwhere(file.additions.asked)[0]
    keypoint = file.additions.keypoints[column]
    x, y = file.additions.xy[row, column].tolist()
    image = file.poses.file_names()[row]
    said = Correction(
        "a" * 32, int(file.poses.ids[row]), image, keypoint, Verdict.MOVE, Point(x, y, 0), Point(30, 40, 2), "me"
    )
    append_corrections(tmp_path / "said.jsonl", [said], "coco")
    apply(extended, [tmp_path / "said.jsonl"], tmp_path / "corrected.json")
    build_review(tmp_path / "corrected.json", extended.parent / "images", name="corrected")
    dataset = fo.load_dataset("corrected")
    sample, label = labels_of(dataset, "people")[int(file.poses.ids[row])]
    k = file.poses.skeleton.index[keypoint]
    assert label["reviewed"][k] == "move"
    assert label["source"][k] == "corrected"
    np.testing.assert_allclose(pixels(label)[k], (30, 40), atol=1e-9)
    assert sample["decided"] == 1
    assert dataset.load_saved_view("decided").values("id") == [sample.id]
    assert keypoint not in label["below"]
    fo.delete_dataset("corrected")


def test_decisions_outlive_the_dataset(fo: ModuleType, tmp_path: Path) -> None:
    from annotext.review.decisions.correction import Correction, Point, Verdict
    from annotext.review.fiftyone.store import record
    from annotext.workflows.review_build import build_review

    extended = make_extended(tmp_path / "decided", "mpii")
    build_review(extended, extended.parent / "images", name="decided on")
    dataset = fo.load_dataset("decided on")
    person, label = next((p, k) for p, (_, k) in labels_of(dataset, "people").items() if "student" in k["source"][16:])
    k = next(k for k in range(16, 21) if label["source"][k] == "student" and label["visible"][k])
    x, y = pixels(label)[k].tolist()
    keypoint = dataset.info["annotext"]["skeleton"][k]
    image = next(Path(s.filepath).name for s, _ in [labels_of(dataset, "people")[person]])
    old = Point(x, y, label["visible"][k])
    record(dataset, [Correction("b" * 32, person, image, keypoint, Verdict.REJECT, old, None, "me")])
    assert labels_of(dataset, "people")[person][1]["reviewed"][k] == "reject"
    fo.delete_dataset("decided on")
    build_review(extended, extended.parent / "images", name="decided on")
    again = labels_of(fo.load_dataset("decided on"), "people")[person][1]
    assert again["reviewed"][k] == "reject"
    assert np.isnan(again.points[k]).all()
    fo.delete_dataset("decided on")


def test_a_name_that_is_taken_is_not_replaced_unasked(extended: Path, fo: ModuleType) -> None:
    from annotext.workflows.review_build import build_review

    fo.Dataset("taken", persistent=False).info = {"mine": True}
    with pytest.raises(AnnotextError, match="--overwrite"):
        build_review(extended, extended.parent / "images", name="taken")
    assert fo.load_dataset("taken").info == {"mine": True}
    fo.delete_dataset("taken")


def test_a_build_that_fails_leaves_the_old_dataset_and_no_half_one(extended: Path, fo: ModuleType) -> None:
    from annotext.workflows.review_build import build_review

    images = extended.parent / "images"
    build_review(extended, images, name="kept", audit=5)

    def stop(what: str) -> Any:
        from contextlib import nullcontext

        def progress(done: int, total: int) -> None:
            if done == total // 2:
                raise KeyboardInterrupt

        return nullcontext(progress)

    with pytest.raises(KeyboardInterrupt):
        build_review(extended, images, name="kept", overwrite=True, progress=stop)
    assert [n for n in fo.list_datasets() if n.startswith("kept")] == ["kept"]
    assert len(fo.load_dataset("kept").info["annotext"]["audit"]["points"]) == 5
    fo.delete_dataset("kept")


def test_all_images_that_cannot_be_shown_are_named_at_once(extended: Path, fo: ModuleType, tmp_path: Path) -> None:
    from annotext.workflows.review_build import build_review

    for image in (extended.parent / "images").iterdir():
        (tmp_path / image.name).write_bytes(image.read_bytes())
    used = sorted(p.name for p in tmp_path.iterdir())
    (tmp_path / used[0]).unlink()
    (tmp_path / used[1]).write_bytes(b"no picture")
    assert cv2.imwrite(str(tmp_path / used[2]), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(InputError) as failed:
        build_review(extended, tmp_path, name="without images")
    told = str(failed.value)
    assert len(failed.value.problems) == 3
    assert "no such file" in told and "not an image that can be read" in told and "is 20 x 10 pixels" in told
    assert "without images" not in fo.list_datasets()


def test_a_file_that_is_not_extended_is_refused(extended: Path) -> None:
    from annotext.workflows.review_build import build_review

    with pytest.raises(InputError, match="not an extended file"):
        build_review(extended.parent / "people.json", extended.parent / "images")


def test_predictions_of_another_file_are_refused(extended: Path, tmp_path: Path) -> None:
    from annotext.workflows.review_build import build_review

    file = read_annotations(extended.parent / "people.json")
    said = Predictions(
        PredictorIdentity("one", "ab" * 32, Source.STUDENT),
        replace(UNION21, name="union21"),
        file.poses.ids,
        tuple(file.poses.file_names()),
        np.zeros((len(file.poses), 21, 2), np.float32),
        np.zeros((len(file.poses), 21), np.float32),
    )
    write_predictions(tmp_path / "other.parquet", [said], input_sha256="0" * 64, force=True)
    with pytest.raises(InputError, match="was not predicted from the input"):
        build_review(extended, extended.parent / "images", predictions=[tmp_path / "other.parquet"])


@pytest.mark.slow
def test_the_command_prints_json_and_nothing_else(extended: Path, run_cli: Any, fo: ModuleType) -> None:
    done = run_cli("review", "build", extended, "--images", extended.parent / "images", "--name", "by hand", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["dataset"] == "by hand"
    assert report["views"]["worst first"] > 0
    fo.delete_dataset("by hand")
