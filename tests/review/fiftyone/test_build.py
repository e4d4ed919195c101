"""`annotext review build`: the dataset shows exactly what the extended file says, and is there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from dots import coco_document
from people import perturbed, random_people
from reviewed import LIMIT, write_extended_people

from annotext.core.additions import Additions, Decision, Reason, Source
from annotext.core.errors import AnnotextError, InputError
from annotext.core.predictions import Predictions, PredictorIdentity
from annotext.core.skeletons import COCO17, UNION21
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.predictions import write_predictions
from annotext.formats.overlay.pseudo_labels import Unlabelled
from annotext.formats.overlay.write import write_extended
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import append_corrections
from annotext.review.decisions.queue_file import QueuedPerson, QueueFile, write_queue
from annotext.review.fiftyone.service import ReviewService
from annotext.review.fiftyone.store import record
from annotext.workflows.apply import apply
from annotext.workflows.review_build import build_review

Build = Callable[..., Any]
WIDTH, HEIGHT = 640, 480
PEOPLE, IMAGES = 40, 12
PREDICTED = (Source.STUDENT, Source.TEACHER)


def make_extended(folder: Path, kind: str) -> Path:
    """`extended.json` of random people, with `images` and `predicted.parquet` beside it."""
    extended = write_extended_people(folder, PEOPLE, kind=kind, images=IMAGES, unlimited=1)
    file = read_annotations(folder / "people.json")
    whole = replace(file.extended_poses.to(UNION21), area=file.extended_poses.bbox_xywh[:, 2:].prod(axis=1))
    both = [predictions_of(file, name, perturbed(whole, seed=seed)[0]) for seed, name in enumerate(["one", "two"])]
    write_predictions(folder / "predicted.parquet", both, input_sha256=file.sha256, force=True)
    return extended


def predictions_of(file: AnnotationFile, name: str, xy: np.ndarray) -> Predictions:
    """Of all 21 points of the file's people."""
    score = np.full(xy.shape[:2], 0.5, np.float32)
    identity = PredictorIdentity(name, "ab" * 32, Source.STUDENT)
    files = tuple(file.extended_poses.file_names())
    return Predictions(identity, UNION21, file.extended_poses.ids, files, xy.astype(np.float32), score)


@pytest.fixture(scope="module", params=["coco", "mpii"])
def built(
    request: pytest.FixtureRequest, fo: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, AnnotationFile]]:
    """The dataset, and the file it shows."""
    extended = make_extended(tmp_path_factory.mktemp(request.param), request.param)
    name = f"built from {request.param}"
    predicted = [extended.parent / "predicted.parquet"]
    build_review(extended, extended.parent / "images", name=name, predictions=predicted, audit=10, seed=3)
    yield fo.load_dataset(name), read_annotations(extended)
    fo.delete_dataset(name)


@pytest.fixture(scope="module")
def extended(fo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_extended(tmp_path_factory.mktemp("people"), "coco")


@pytest.fixture
def build(fo: ModuleType) -> Iterator[Build]:
    """Builds datasets that are gone after the test."""
    names = []

    def build(extended: Path, name: str, **options: Any) -> Any:
        names.append(name)
        build_review(extended, extended.parent / "images", name=name, **options)
        return fo.load_dataset(name)

    yield build
    for name in {*names}.intersection(fo.list_datasets()):
        fo.delete_dataset(name)


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
    return file.extended_poses.has_keypoints | (file.additions.source != Source.NONE).any(axis=1)


def test_every_person_with_keypoints_is_there_once_on_its_image(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    rows = np.flatnonzero(shown_people(file))
    people = labels_of(dataset, "people")
    assert sorted(people) == sorted(file.extended_poses.ids[rows].tolist())
    for row in rows:
        sample, _ = people[int(file.extended_poses.ids[row])]
        image = int(file.extended_poses.image_index[row])
        assert Path(sample.filepath).name == file.extended_poses.images[image].file_name
        assert sample["image_index"] == image
        assert (sample.metadata.width, sample.metadata.height) == (WIDTH, HEIGHT)


def test_points_stand_where_the_file_has_them_and_nowhere_else(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    people = labels_of(dataset, "people")
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.extended_poses.ids[row])]
        np.testing.assert_allclose(pixels(label), file.extended_poses.xy[row], atol=1e-9)
        assert label["visible"] == file.extended_poses.visibility[row].tolist()


def test_each_point_says_who_made_it_how_sure_it_is_and_what_was_decided(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    columns = file.extended_poses.skeleton.indices(additions.keypoints)
    own = [k for k in range(21) if k not in columns]
    people = labels_of(dataset, "people")
    for row in np.flatnonzero(shown_people(file)):
        _, label = people[int(file.extended_poses.ids[row])]
        labelled = file.extended_poses.labelled[row]
        assert [label["source"][k] for k in own] == ["human" if labelled[k] else "none" for k in own]
        assert [label.confidence[k] for k in own] == [float(labelled[k]) for k in own]
        assert [label["source"][k] for k in columns] == [str(s) for s in additions.source[row]]
        assert [label["decision"][k] for k in columns] == [str(d) for d in additions.decision[row]]
        expected = np.where(additions.added[row], additions.score[row], 0.0)
        assert [label.confidence[k] for k in columns] == expected.tolist()
        assert [label["radius_px"][k] for k in columns] == np.nan_to_num(additions.radius[row]).tolist()
        assert label["bbox_px"] == file.extended_poses.bbox_xywh[row].tolist()


def test_no_score_is_ever_nan(built: tuple[Any, AnnotationFile]) -> None:
    dataset, _ = built
    for field in ("people", "candidates"):
        assert np.isfinite(np.array(dataset.values(f"{field}.keypoints.confidence", unwind=True), dtype=float)).all()
    low, high = dataset.bounds("people.keypoints.confidence")
    assert (low, high) == (0.0, 1.0)


def test_human_points_are_shown_alone_too(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    assert file.additions is not None
    columns = file.extended_poses.skeleton.indices(file.additions.keypoints)
    human = labels_of(dataset, "human")
    for row in range(len(file.extended_poses)):
        expected = file.extended_poses.xy[row].copy()
        expected[columns] = np.nan
        person = int(file.extended_poses.ids[row])
        assert (person in human) == bool(np.isfinite(expected).any())
        if person in human:
            np.testing.assert_allclose(pixels(human[person][1]), expected, atol=1e-9)


def test_withheld_points_are_candidates_and_nothing_else(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    columns = file.extended_poses.skeleton.indices(additions.keypoints)
    candidates, people = labels_of(dataset, "candidates"), labels_of(dataset, "people")
    rows = np.flatnonzero(additions.withheld.any(axis=1))
    assert sorted(candidates) == sorted(file.extended_poses.ids[rows].tolist())
    assert len(rows)
    for row in rows:
        person = int(file.extended_poses.ids[row])
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
        _, label = people[int(file.extended_poses.ids[row])]
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
        _, label = people[int(file.extended_poses.ids[row])]
        for column, keypoint in enumerate(additions.keypoints):
            limited = column < len(additions.keypoints) - 1  # the last keypoint has no limit
            low = additions.score[row, column] < LIMIT and additions.source[row, column] in PREDICTED
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


def test_worst_first_ends_with_people_of_whom_all_was_withheld(extended: Path, build: Build) -> None:
    file = read_annotations(extended)
    assert file.additions is not None and file.header is not None
    poses = file.poses
    rows = np.flatnonzero(poses.image_index == poses.image_index[poses.has_keypoints][0])
    visibility, decision = file.additions.visibility.copy(), file.additions.decision.copy()
    reason = file.additions.reason.copy()
    there = np.isin(np.arange(len(file.extended_poses)), rows)[:, None] & (file.additions.source != Source.NONE)
    visibility[there], decision[there], reason[there] = 0, Decision.WITHHOLD, Reason.LOW_SCORE
    additions = replace(file.additions, visibility=visibility, decision=decision, reason=reason)
    plain = read_annotations(extended.parent / "people.json")
    write_extended(plain, additions, {"policy": {}}, extended.parent / "held.json", force=True)
    shown = build(extended.parent / "held.json", "held").load_saved_view("worst first")
    wrong = shown.values("expected_wrong")
    assert wrong[-1] == 0 and wrong == sorted(wrong, reverse=True)
    assert shown.values("image_index")[-1] == file.extended_poses.image_index[rows[0]]


def queue_of(file: AnnotationFile, seed: int = 0) -> QueueFile:
    """Half of the people with added points, in some order; each about one point."""
    assert file.additions is not None
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(file.additions.added.any(axis=1)))
    people = []
    for row in rows[: len(rows) // 2]:
        keypoint = file.additions.keypoints[int(np.flatnonzero(file.additions.added[row])[-1])]
        people.append(QueuedPerson(int(file.extended_poses.ids[row]), (keypoint,)))
    return QueueFile(file.sha256, "random", seed, tuple(people))


def test_a_queue_is_the_first_view_and_asks_in_its_order_about_its_points(
    extended: Path, build: Build, tmp_path: Path
) -> None:
    wanted = queue_of(read_annotations(extended))
    write_queue(wanted, tmp_path / "queue.json", force=False)
    dataset = build(extended, "queued", queue=tmp_path / "queue.json")
    assert dataset.list_saved_views()[:2] == ["queue", "worst first"]
    service = ReviewService(dataset, "ann")
    view = dataset.load_saved_view("queue")
    rows = service.queue(view)["rows"]
    assert [person for _, person, _ in rows] == list(wanted.ids)
    assert [left for _, _, left in rows] == [1] * len(rows)
    shown = service.people([(sample, person) for sample, person, _ in rows], "queue")
    assert [tuple(p["ask"]) for p in shown] == [p.keypoints for p in wanted.people]
    first = shown[0]
    point = first["points"][first["ask"][0]]
    decision = {"id": "c" * 32, "sample": first["sample"], "person": first["person"], "keypoint": first["ask"][0]}
    service.decide([{**decision, "verdict": "absent", "seen": [point["x"], point["y"]]}])
    after = dataset.load_saved_view("queue")
    assert [person for _, person, _ in service.queue(after)["rows"]] == list(wanted.ids[1:])
    assert first["person"] in labels_of(after, "candidates")  # what was decided stays in the view


def test_a_queue_of_another_file_or_of_strangers_is_refused(extended: Path, tmp_path: Path) -> None:
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
    assert set(labels_of(view, "people")) == set(file.extended_poses.ids[rows].tolist())
    assert set(labels_of(view, "candidates")) == set(file.extended_poses.ids[rows].tolist())


def test_the_audit_is_drawn_from_points_that_were_predicted_and_added(built: tuple[Any, AnnotationFile]) -> None:
    dataset, file = built
    additions = file.additions
    assert additions is not None
    audit = dataset.info["annotext"]["audit"]
    assert audit["seed"] == 3
    assert len({tuple(p) for p in audit["points"]}) == len(audit["points"]) == 10
    row_of = {int(i): row for row, i in enumerate(file.extended_poses.ids)}
    for person, keypoint in audit["points"]:
        cell = row_of[person], additions.keypoints.index(keypoint)
        assert additions.decision[cell] == Decision.ADD
        assert additions.source[cell] in PREDICTED
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
    assert info["skeleton"] == list(file.extended_poses.skeleton.keypoints)
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


def test_building_again_gives_the_same_documents(
    built: tuple[Any, AnnotationFile], build: Build, fo: ModuleType
) -> None:
    dataset, file = built
    before = without_ids(dataset)
    options = {"predictions": [file.path.parent / "predicted.parquet"], "audit": 10, "seed": 3}
    for overwrite in (False, True):
        again = build(file.path, "built again", overwrite=overwrite, **options)
        assert without_ids(again) == before
        assert again.info == dataset.info
    assert not [n for n in fo.list_datasets() if "unfinished" in n]


def test_pseudo_labels_are_shown_and_nobody_is_asked_about_them(build: Build, tmp_path: Path) -> None:
    poses = random_people(COCO17, 6, images=3, crowds=0, unlabelled_people=0)
    nobody = np.arange(6) == 2
    poses = replace(
        poses,
        xy=np.where(nobody[:, None, None], np.nan, poses.xy),
        visibility=np.where(nobody[:, None], 0, poses.visibility).astype(np.uint8),
    )
    (tmp_path / "images").mkdir()
    for image in poses.images:
        assert cv2.imwrite(str(tmp_path / "images" / image.file_name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
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
    dataset = build(tmp_path / "extended.json", "whole")
    person = int(poses.ids[2])
    _, label = labels_of(dataset, "people")[person]
    assert label["source"] == ["teacher"] * 17 + ["none"]
    assert label.confidence == [0.75] * 17 + [0.0]
    np.testing.assert_allclose(pixels(label)[:17, 0], 50 + np.arange(17), atol=1e-9)
    assert label["left"] == 0 and label["lowest"] is None
    assert person not in labels_of(dataset, "human")


def test_what_was_reviewed_before_is_shown_as_decided(build: Build, tmp_path: Path) -> None:
    extended = make_extended(tmp_path, "coco")
    file = read_annotations(extended)
    assert file.additions is not None
    row, column = np.argwhere(file.additions.asked)[0]
    keypoint = file.additions.keypoints[column]
    x, y = file.additions.xy[row, column].tolist()
    image = file.extended_poses.file_names()[row]
    move = Correction(
        "a" * 32,
        int(file.extended_poses.ids[row]),
        image,
        keypoint,
        Verdict.MOVE,
        Point(x, y, 0),
        Point(30, 40, 2),
        "me",
    )
    append_corrections(tmp_path / "moved.jsonl", [move], "coco")
    apply(extended, [tmp_path / "moved.jsonl"], tmp_path / "corrected.json")
    dataset = build(tmp_path / "corrected.json", "corrected")
    sample, label = labels_of(dataset, "people")[int(file.extended_poses.ids[row])]
    k = file.extended_poses.skeleton.index[keypoint]
    assert label["reviewed"][k] == "move"
    assert label["source"][k] == "corrected"
    np.testing.assert_allclose(pixels(label)[k], (30, 40), atol=1e-9)
    assert sample["decided"] == 1
    assert dataset.load_saved_view("decided").values("id") == [sample.id]
    assert keypoint not in label["below"]


def test_decisions_outlive_the_dataset(build: Build, tmp_path: Path) -> None:
    extended = make_extended(tmp_path / "decided", "mpii")
    dataset = build(extended, "decided on")
    person, label = next((p, k) for p, (_, k) in labels_of(dataset, "people").items() if "student" in k["source"][16:])
    k = next(k for k in range(16, 21) if label["source"][k] == "student" and label["visible"][k])
    x, y = pixels(label)[k].tolist()
    keypoint = dataset.info["annotext"]["skeleton"][k]
    image = next(Path(s.filepath).name for s, _ in [labels_of(dataset, "people")[person]])
    old = Point(x, y, label["visible"][k])
    record(dataset, [Correction("b" * 32, person, image, keypoint, Verdict.REJECT, old, None, "me")])
    assert labels_of(dataset, "people")[person][1]["reviewed"][k] == "reject"
    dataset.delete()
    again = labels_of(build(extended, "decided on"), "people")[person][1]
    assert again["reviewed"][k] == "reject"
    assert np.isnan(again.points[k]).all()


def test_a_name_that_is_taken_is_not_replaced_unasked(extended: Path, fo: ModuleType) -> None:
    fo.Dataset("taken", persistent=False).info = {"mine": True}
    with pytest.raises(AnnotextError, match="--overwrite"):
        build_review(extended, extended.parent / "images", name="taken")
    assert fo.load_dataset("taken").info == {"mine": True}
    fo.delete_dataset("taken")


def test_a_build_that_fails_leaves_the_old_dataset_and_no_half_one(
    extended: Path, build: Build, fo: ModuleType
) -> None:
    build(extended, "kept", audit=5)

    def stop(what: str) -> Any:
        def progress(done: int, total: int) -> None:
            if done == total // 2:
                raise KeyboardInterrupt

        return nullcontext(progress)

    with pytest.raises(KeyboardInterrupt):
        build(extended, "kept", overwrite=True, progress=stop)
    assert [n for n in fo.list_datasets() if n.startswith("kept")] == ["kept"]
    assert len(fo.load_dataset("kept").info["annotext"]["audit"]["points"]) == 5


def test_all_images_that_cannot_be_shown_are_named_at_once(extended: Path, fo: ModuleType, tmp_path: Path) -> None:
    for image in (extended.parent / "images").iterdir():
        (tmp_path / image.name).write_bytes(image.read_bytes())
    used = sorted(p.name for p in tmp_path.iterdir())
    (tmp_path / used[0]).unlink()
    (tmp_path / used[1]).write_bytes(b"no picture")
    assert cv2.imwrite(str(tmp_path / used[2]), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(InputError) as failed:
        build_review(extended, tmp_path, name="without images")
    message = str(failed.value)
    assert len(failed.value.problems) == 3
    assert "no such file" in message and "not an image that can be read" in message and "is 20 x 10 pixels" in message
    assert "without images" not in fo.list_datasets()


def test_a_file_that_is_not_extended_is_refused(extended: Path) -> None:
    with pytest.raises(InputError, match="not an extended file"):
        build_review(extended.parent / "people.json", extended.parent / "images")


def test_predictions_of_another_file_are_refused(extended: Path, tmp_path: Path) -> None:
    file = read_annotations(extended.parent / "people.json")
    other = predictions_of(file, "one", np.zeros((len(file.extended_poses), 21, 2)))
    write_predictions(tmp_path / "other.parquet", [other], input_sha256="0" * 64, force=True)
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
