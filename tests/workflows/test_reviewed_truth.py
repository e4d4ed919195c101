"""`annotext calibrate --reviewed`: people's decisions as a truth, alone and beside labels of another data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from calibration_files import (
    FEW_INPUTS,
    PredictedFile,
    mpii_document,
    mpii_people,
    sha256_of,
    write_mpii,
    write_student,
)
from calibrations import ADDED, INPUTS, STUDENT, standing_people, student_predictions
from dots import coco_document
from numpy.typing import NDArray

from annotext.calibration.datasets import LABELS, REVIEWED
from annotext.calibration.files import read_calibration
from annotext.calibration.learn import MIN_DECISIONS
from annotext.calibration.model import expect
from annotext.cli.reports.calibration import calibration_text
from annotext.core.errors import AnnotextError, InputError
from annotext.core.frame import columns, size_of
from annotext.core.poses import Poses
from annotext.core.skeletons import UNION21
from annotext.evaluation.correctness import Criterion, tolerance
from annotext.evaluation.ranking import ece, reliability_equal_count
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.files.jsonio import dump_json
from annotext.formats.files.predictions import read_predictions, write_predictions
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import append_corrections
from annotext.workflows.apply import apply
from annotext.workflows.calibrate import CalibrationReport, calibrate
from annotext.workflows.decide import decide

Cli = Callable[..., CompletedProcess[str]]
PEOPLE, DECIDED = 700, 160
SIGMAS = UNION21.sigma_array[UNION21.indices(ADDED)]


@dataclass(frozen=True)
class TwoDomains:
    """A labelled file of another domain, and the target domain's own people, of whom the student is off by more, with
    scores that do not tell.

    others: many labelled people, to learn the pose from. truth: (N, 2, 2) px of what is `ADDED`, of the people of
    `own`.
    """

    folder: Path
    run: Path
    labelled: PredictedFile
    own: PredictedFile
    extended: Path
    others: Path
    truth: NDArray[np.float64]

    def calibrate(self, output: Path, **options: Any) -> CalibrationReport:
        given = {
            "truths": [self.labelled.annotations],
            "predictions": [self.labelled.predictions, self.own.predictions],
            "keypoints": ADDED,
            "inputs": FEW_INPUTS,
            "poses": self.others,
            "output": output,
        }
        return calibrate(self.run, **{**given, **options})

    def corrected(self, folder: Path, decided: NDArray[np.intp]) -> Path:
        """The extended file with an oracle's decisions on the people at `decided`."""
        file = read_annotations(self.extended)
        corrections = oracle(file, self.truth, decided)
        append_corrections(folder / "c.jsonl", corrections, file.kind)
        apply(self.extended, [folder / "c.jsonl"], folder / "corrected.json")
        return folder / "corrected.json"


@pytest.fixture(scope="module")
def domains(tmp_path_factory: pytest.TempPathFactory) -> TwoDomains:
    folder = tmp_path_factory.mktemp("domains")
    run, labelled = write_student(folder / "run"), write_mpii(folder)
    own, parquet = folder / "coco.json", folder / "coco.parquet"
    poses, truth = standing_people(PEOPLE, seed=50)
    rng = np.random.default_rng(3)
    size = poses.bbox_xywh[:, None, 2:3] / 10
    truth = truth + 0.8 * size * rng.normal(size=truth.shape)
    said = student_predictions(poses, standing_people(PEOPLE, seed=50)[1], 51)
    score = np.clip(said.score + 0.35 * rng.normal(size=said.score.shape), 0, 1).astype(np.float32)
    own.write_bytes(dump_json(coco_document(poses)))
    write_predictions(parquet, [replace(said, score=score)], input_sha256=sha256_of(own), force=True)
    others = folder / "others.json"
    people = mpii_document(mpii_people(seed=7))
    others.write_bytes(dump_json([{**record, "image": f"other_{record['image']}"} for record in people]))
    place = TwoDomains(folder, run, labelled, PredictedFile(own, parquet), folder / "extended.json", others, truth)
    place.calibrate(run / "calibration.json")
    decide(parquet, own, place.extended, calibration=run)
    return place


def oracle(file: AnnotationFile, truth: NDArray[np.float64], decided: NDArray[np.intp]) -> list[Correction]:
    """Right points are accepted; of wrong ones every other is moved, the others are rejected."""
    additions, poses = file.additions, file.poses
    assert additions is not None and file.header is not None
    found: list[Correction] = []
    limit = limits(poses)
    for i in decided.tolist():
        for place, keypoint in enumerate(ADDED):
            j = additions.keypoints.index(keypoint)
            x, y = additions.xy[i, j].tolist()
            right = np.hypot(*(additions.xy[i, j] - truth[i, place])) <= limit[i, place]
            there = truth[i, place].tolist()
            moved = Point(there[0], there[1], 2)
            verdict = Verdict.ACCEPT if right else Verdict.MOVE if (i + j) % 2 else Verdict.REJECT
            found.append(
                Correction(
                    f"{len(found):032x}",
                    int(poses.ids[i]),
                    poses.file_names()[i],
                    keypoint,
                    verdict,
                    Point(x, y, int(additions.visibility[i, j])),
                    moved if verdict is Verdict.MOVE else None,
                    "oracle",
                    input_sha256=file.header["input_sha256"],
                )
            )
    return found


def limits(poses: Poses) -> NDArray[np.float64]:
    """(N, 2) px, what a reviewer lets pass."""
    unknown = np.full(len(poses), np.nan)
    size = size_of(columns(poses, INPUTS))
    return tolerance(Criterion.KS_OF_SIZE, SIGMAS, area=unknown, head_size=unknown, size=size)


def judged(domains: TwoDomains, calibration: Path, left: NDArray[np.intp]) -> tuple[float, float]:
    """(ECE, share within the radius) of the points of the people at `left`."""
    poses = read_annotations(domains.own.annotations).poses
    model = read_calibration(calibration).model
    points = model.points(poses, read_predictions(domains.own.predictions))
    there = [points.keypoints.index(k) for k in ADDED]
    part = model.parts[0]
    _, frame = expect(part.pose_only, poses)
    distance = np.linalg.norm(points.xy[:, there] - domains.truth, axis=-1)
    limit = tolerance(Criterion.KS_OF_SIZE, SIGMAS, area=poses.area, head_size=poses.head_size, size=frame.size)
    score, radius = points.score[:, there], points.radius[:, there]
    known = np.isfinite(score) & np.isin(np.arange(len(poses)), left)[:, None]
    covered = float((distance <= radius)[known].mean())
    return ece(reliability_equal_count(score[known], (distance <= limit)[known])), covered


@pytest.fixture(scope="module")
def split() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Whole images at random: reviewed people, and the others."""
    images = np.random.default_rng(9).permutation(PEOPLE // 2)[: DECIDED // 2]
    decided = np.isin(np.arange(PEOPLE) // 2, images)
    return np.flatnonzero(decided), np.flatnonzero(~decided)


@pytest.fixture(scope="module")
def pooled(
    domains: TwoDomains, split: tuple[NDArray[np.intp], NDArray[np.intp]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, CalibrationReport]:
    """The corrected file, the calibration that learned from it beside labels of another domain, and its report."""
    folder = tmp_path_factory.mktemp("pooled")
    corrected = domains.corrected(folder, split[0])
    return corrected, folder, domains.calibrate(folder / "calibration.json", reviewed=[corrected])


def test_reviewed_people_cure_what_the_other_data_set_got_wrong(
    domains: TwoDomains, split: tuple[NDArray[np.intp], NDArray[np.intp]], pooled: tuple[Path, Path, CalibrationReport]
) -> None:
    (before, held_before), (after, held_after) = (
        judged(domains, domains.run, split[1]),
        judged(domains, pooled[1], split[1]),
    )
    assert before > 0.1
    assert after < 0.6 * before
    assert abs(held_after - 0.9) < abs(held_before - 0.9)


def test_both_truths_are_named_in_the_file_and_its_report(pooled: tuple[Path, Path, CalibrationReport]) -> None:
    corrected, folder, report = pooled
    (part,) = read_calibration(folder).model.parts
    assert part.truth.protocol == LABELS
    (review,) = part.also
    expected = {"protocol": REVIEWED, "file": "corrected.json", "sha256": sha256_of(corrected), "people": DECIDED}
    assert review.to_dict() == expected
    assert [t.protocol for t in report.truths] == [LABELS, REVIEWED]
    assert [(k.keypoint, k.protocol) for k in report.keypoints] == [(k, p) for p in (LABELS, REVIEWED) for k in ADDED]
    assert f"{corrected} (reviewed): upper_neck, head_top" in calibration_text(report)


def test_what_was_learned_is_named_in_the_header_of_a_file_it_decides(
    domains: TwoDomains, pooled: tuple[Path, Path, CalibrationReport], tmp_path: Path
) -> None:
    decide(domains.own.predictions, domains.own.annotations, tmp_path / "out.json", calibration=pooled[1])
    header = json.loads((tmp_path / "out.json").read_text())["info"]["annotext"]
    assert [t["protocol"] for t in header["calibration"]["truth"]] == [LABELS, REVIEWED]


def test_decisions_alone_are_a_truth_where_there_are_enough(
    domains: TwoDomains,
    split: tuple[NDArray[np.intp], NDArray[np.intp]],
    pooled: tuple[Path, Path, CalibrationReport],
    tmp_path: Path,
) -> None:
    report = domains.calibrate(tmp_path / "calibration.json", truths=[], reviewed=[pooled[0]])
    (part,) = read_calibration(tmp_path).model.parts
    assert part.truth.protocol == REVIEWED and part.also == ()
    # Where anchoring moves a point away from a rejected place nobody knows.
    assert all(0.9 * DECIDED <= k.n <= DECIDED for k in report.keypoints)
    assert judged(domains, tmp_path, split[1])[0] < 0.8 * judged(domains, domains.run, split[1])[0]


def test_too_few_decisions_are_told_and_leave_the_labels_alone(domains: TwoDomains, tmp_path: Path) -> None:
    corrected = domains.corrected(tmp_path, np.arange(MIN_DECISIONS - 1))
    report = domains.calibrate(tmp_path / "calibration.json", reviewed=[corrected])
    assert _same(tmp_path, domains.run)
    assert f"{MIN_DECISIONS - 1} decisions on upper_neck" in report.notes[0]
    assert f"{MIN_DECISIONS} are needed to be used beside labels" in calibration_text(report)
    with pytest.raises(InputError, match="holds too few decisions to learn from"):
        domains.calibrate(tmp_path / "other.json", truths=[], reviewed=[corrected])
    assert not (tmp_path / "other.json").exists()


def _same(one: Path, other: Path) -> bool:
    return read_calibration(one).sha256 == read_calibration(other).sha256


def test_people_that_a_queue_put_first_are_told_from_people_drawn_at_random(
    domains: TwoDomains, tmp_path: Path
) -> None:
    additions = read_annotations(domains.extended).additions
    assert additions is not None
    score = additions.score[:, [additions.keypoints.index(k) for k in ADDED]]
    worst = np.argsort(score.sum(axis=1), kind="stable")[:DECIDED]
    corrected = domains.corrected(tmp_path, worst)
    report = domains.calibrate(tmp_path / "calibration.json", reviewed=[corrected])
    assert any("is unlike the rest" in note and str(corrected) in note for note in report.notes)


def test_what_cannot_be_a_review_is_refused_with_nothing_written(domains: TwoDomains, tmp_path: Path) -> None:
    corrected = domains.corrected(tmp_path, np.arange(40))
    for given, problem in (
        ({"reviewed": [domains.own.annotations]}, "is not an extended file"),
        ({"reviewed": [domains.extended]}, "holds no decision of a reviewer"),
        (
            {"reviewed": [corrected], "predictions": [domains.labelled.predictions]},
            "none of the given --predictions were made on the file this was extended from",
        ),
        ({"truths": [corrected]}, "People's decisions go with --reviewed"),
    ):
        with pytest.raises(AnnotextError, match=problem):
            domains.calibrate(tmp_path / "calibration.json", **given)
    assert not (tmp_path / "calibration.json").exists()


def test_the_command_takes_reviewed_files(
    domains: TwoDomains, pooled: tuple[Path, Path, CalibrationReport], run_cli: Cli, tmp_path: Path
) -> None:
    done = run_cli(
        "calibrate", domains.run, "--truth", domains.labelled.annotations, "--reviewed", pooled[0],
        "--predictions", domains.labelled.predictions, "--predictions", domains.own.predictions,
        "--keypoints", ",".join(ADDED), "--inputs", ",".join(FEW_INPUTS), "--poses", domains.others,
        "-o", tmp_path / "calibration.json", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        **pooled[2].to_dict(),
        "output": str(tmp_path / "calibration.json"),
    }
    assert _same(tmp_path, pooled[1])
    assert STUDENT.sha256 == json.loads(done.stdout)["predictor_sha256"]
