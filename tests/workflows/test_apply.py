"""annotext apply: files in, corrected file and report out; in any order, in any steps, and back again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import HEADER, coco_annotation, coco_document, mpii_record, write
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewers import correction, random_corrections

from annotext.cli.reports.corrections import apply_text
from annotext.core.additions import Additions, Source
from annotext.core.errors import InputError
from annotext.core.skeletons import UNION21
from annotext.formats.annotations.read import AnnotationFile, read_annotations
from annotext.formats.overlay.header import header_path
from annotext.formats.overlay.write import write_extended
from annotext.review.decisions.correction import Correction, Point, Verdict
from annotext.review.decisions.files import append_corrections, correction_line
from annotext.workflows.apply import apply
from annotext.workflows.strip import strip_file

RunCli = Callable[..., subprocess.CompletedProcess[str]]
KINDS = pytest.mark.parametrize("kind", ["coco", "mpii"])


def extended(folder: Path, kind: str = "coco", people: int = 6) -> AnnotationFile:
    """People 1 to N (MPII: records 0 to N - 1), each with a point per added keypoint: labels, candidates and none."""
    document = (
        [mpii_record(image=f"{n}.jpg") for n in range(people)]
        if kind == "mpii"
        else coco_document(*(coco_annotation(n + 1) for n in range(people)))
    )
    file = read_annotations(write(folder / "in.json", document))
    keypoints = UNION21.missing_from(file.poses.skeleton)
    rng = np.random.default_rng(5)
    shape = (people, len(keypoints))
    there = rng.random(shape) < 0.8
    there[0] = True
    visibility = np.where(there & (rng.random(shape) < 0.6), 2, 0).astype(np.uint8)
    visibility[0, 0] = 2
    xy = np.round(rng.uniform(5, 80, (*shape, 2)), 2)
    xy[0, 0] = [30.13, 40.5]
    additions = Additions(
        keypoints,
        np.where(there[..., None], xy, np.nan),
        visibility,
        np.where(there, Source.STUDENT, Source.NONE).astype(object),
        np.where(there, 0.5, 0.0),
    )
    write_extended(file, additions, HEADER, folder / "extended.json", force=True)
    return read_annotations(folder / "extended.json")


def random_decisions(file: AnnotationFile, seed: int, n: int = 25) -> list[Correction]:
    assert file.additions is not None
    return random_corrections(file.extended_poses, file.additions, seed, n)


def journals(folder: Path, file: AnnotationFile, decisions: list[Correction]) -> list[Path]:
    """The decisions in three files, each in a third of them."""
    paths = [folder / f"{name}.jsonl" for name in ("one", "two", "three")]
    for i, path in enumerate(paths):
        path.unlink(missing_ok=True)
        path.touch()
        append_corrections(path, decisions[i::3], file.kind)
    return paths


def written(path: Path) -> bytes:
    beside = header_path(path)
    return path.read_bytes() + (beside.read_bytes() if beside.exists() else b"")


@KINDS
@given(seed=st.integers(0, 300))
@settings(max_examples=15, deadline=None)
def test_order_steps_and_repetition_do_not_matter_and_strip_gives_the_original(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("apply")
    file = extended(folder, kind)
    one, two, three = journals(folder, file, random_decisions(file, seed))
    out = [folder / f"out{i}.json" for i in range(5)]
    apply(file.path, [one, two, three], out[0])
    apply(file.path, [three, one, two], out[1])
    apply(out[0], [one, two, three], out[2])
    apply(file.path, [two], out[3])
    apply(out[3], [two, three, one], out[4])
    assert written(out[1]) == written(out[2]) == written(out[4]) == written(out[0])
    strip_file(out[0], folder / "stripped.json")
    assert (folder / "stripped.json").read_bytes() == (folder / "in.json").read_bytes()


def test_the_report_counts_what_was_decided_and_by_whom(tmp_path: Path) -> None:
    file = extended(tmp_path)
    decisions = [
        correction(1),
        correction(2, reviewer="bob"),
        correction(3, Verdict.MOVE, keypoint="thorax", new=Point(20, 20, 1), old=None),
        correction(4, Verdict.ABSENT, person=2, keypoint="head_top", old=None, reviewer="bob"),
        correction(5, Verdict.NOTE, keypoint="", note="a statue"),
        correction(6, Verdict.ABSENT, person=99, old=None),
    ]
    report = apply(
        file.path, journals(tmp_path, file, decisions), tmp_path / "out.json", report=tmp_path / "report.json"
    )
    assert report.counts == {"pelvis": {"accept": 1}, "thorax": {"move": 1}, "head_top": {"absent": 1}}
    assert report.reviewers == {"ann": 2, "bob": 2}
    assert (report.decisions, report.notes, report.people, report.points) == (6, 1, 2, 3)
    assert report.found == {"unknown-person": 1}
    assert json.loads((tmp_path / "report.json").read_text()) == report.to_dict()


def test_the_summary_names_findings_and_what_to_do(tmp_path: Path) -> None:
    file = extended(tmp_path)
    decisions = [correction(1), correction(2, Verdict.REJECT, reviewer="bob")]
    summary = apply_text(apply(file.path, journals(tmp_path, file, decisions), tmp_path / "out.json"))
    assert summary.splitlines()[1:] == [
        "[yellow]not applied as decided:[/] 1 conflict",
        "  pelvis of person 1 (a/one.jpg): ann says accept, bob says reject; the point stays as it was",
        "  hint: let one of them decide again, or undo",
    ]


def test_the_header_names_the_files_and_how_much_they_say(tmp_path: Path) -> None:
    file = extended(tmp_path)
    paths = journals(tmp_path, file, [correction(n) for n in range(4)])
    apply(file.path, paths, tmp_path / "out.json")
    header = read_annotations(tmp_path / "out.json").header
    assert header is not None
    assert {f["file"]: f["decisions"] for f in header["corrections"]} == {
        "one.jsonl": 2,
        "two.jsonl": 1,
        "three.jsonl": 1,
    }


def test_decisions_on_another_file_are_one_finding_and_change_nothing(tmp_path: Path) -> None:
    file = extended(tmp_path)
    decisions = [replace(correction(n), input_sha256="ef" * 32) for n in range(5)]
    report = apply(file.path, journals(tmp_path, file, [*decisions, correction(9)]), tmp_path / "out.json")
    assert report.points == 1
    assert report.found == {"other-data": 1}


def test_if_all_decisions_are_on_another_file_nothing_is_written(tmp_path: Path) -> None:
    file = extended(tmp_path)
    decisions = [replace(correction(n), input_sha256=sha * 32) for n, sha in enumerate(("ef", "ef", "cd"))]
    with pytest.raises(InputError, match="all 3 decisions are on another data set"):
        apply(file.path, journals(tmp_path, file, decisions), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_second_session_alone_does_not_undo_the_first(tmp_path: Path) -> None:
    file = extended(tmp_path)
    first = tmp_path / "first.jsonl"
    append_corrections(first, [correction(1)], file.kind)
    second = tmp_path / "second.jsonl"
    append_corrections(second, [correction(2, Verdict.ABSENT, person=2, keypoint="head_top", old=None)], file.kind)
    corrected, out = tmp_path / "corrected.json", tmp_path / "out.json"
    apply(file.path, [first], corrected)
    with pytest.raises(InputError, match=r"decisions on 1 points .*\n.*first\.jsonl.*--take-back"):
        apply(corrected, [second], out)
    assert not out.exists()
    assert apply(corrected, [first, second], out).points == 2
    assert apply(corrected, [second], out, take_back=True, force=True).found == {"dropped": 1}


def test_a_corrected_point_stands_in_the_file(tmp_path: Path) -> None:
    file = extended(tmp_path, "mpii")
    decisions = correction(1, Verdict.MOVE, person=0, image="0.jpg", keypoint="nose", new=Point(20, 21.5, 1))
    apply(file.path, journals(tmp_path, file, [decisions]), tmp_path / "out.json")
    record = json.loads((tmp_path / "out.json").read_text())[0]
    assert record["joints"][16] == [21.0, 22.5]
    assert record["joints_vis"][16] == 1
    assert record["annotext"]["visibility"][0] == 1
    assert record["annotext"]["source"][0] == "corrected"
    assert record["annotext"]["review"][0] == {
        "decision": "move",
        "by": ["ann"],
        "before": {
            "xy": [31.13, 41.5],
            "visibility": 2,
            "source": "student",
            "score": 0.5,
            "radius": None,
            "decision": "add",
            "reason": None,
        },
    }


def test_a_plain_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "plain.json", coco_document())
    (tmp_path / "made.jsonl").touch()
    with pytest.raises(InputError, match="is not an extended file"):
        apply(tmp_path / "plain.json", [tmp_path / "made.jsonl"], tmp_path / "out.json")


@pytest.mark.parametrize("name", ["extended.json", "one.jsonl"])
def test_no_input_is_ever_replaced(name: str, tmp_path: Path) -> None:
    file = extended(tmp_path)
    paths = journals(tmp_path, file, [correction()])
    with pytest.raises(InputError, match="is the input itself"):
        apply(file.path, paths, tmp_path / name, force=True)


def test_an_output_that_exists_is_kept_without_force(tmp_path: Path) -> None:
    file = extended(tmp_path)
    paths = journals(tmp_path, file, [correction()])
    (tmp_path / "out.json").write_text("mine")
    with pytest.raises(InputError, match="give --force"):
        apply(file.path, paths, tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "mine"


def test_skip_bad_leaves_out_faulty_lines_and_lists_them(tmp_path: Path) -> None:
    file = extended(tmp_path)
    path = tmp_path / "made.jsonl"
    path.write_bytes(b"{}\n" + correction_line(correction(), "coco"))
    with pytest.raises(InputError):
        apply(file.path, [path], tmp_path / "out.json")
    report = apply(file.path, [path], tmp_path / "out.json", skip_bad=True)
    assert report.points == 1
    assert {p.pointer.partition(":")[0] for p in report.skipped} == {"line 1"}
    assert "skipped" in apply_text(report)


def test_the_command_ends_well_with_findings_and_badly_with_malformed_input(tmp_path: Path, run_cli: RunCli) -> None:
    file = extended(tmp_path)
    path = tmp_path / "made.jsonl"
    append_corrections(path, [correction(), correction(2, Verdict.ABSENT, person=99, old=None)], "coco")
    done = run_cli("apply", file.path, path, "-o", tmp_path / "out.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["found"] == {"unknown-person": 1}
    path.write_bytes(path.read_bytes() + b'{"id": 3')
    failed = run_cli("apply", file.path, path, "-o", tmp_path / "out.json", "--force")
    assert failed.returncode == 1
    assert "line 3: is cut off" in failed.stderr
    assert "Traceback" not in failed.stderr


def _values(document: Any) -> Any:
    return document if isinstance(document, list) else document["annotations"]


@KINDS
def test_human_keypoints_stay_digit_for_digit(kind: str, tmp_path: Path) -> None:
    file = extended(tmp_path, kind)
    apply(file.path, journals(tmp_path, file, random_decisions(file, 3)), tmp_path / "out.json")
    before, after = (_values(json.loads((tmp_path / n).read_text())) for n in ("in.json", "out.json"))
    key, count = ("joints", 16) if kind == "mpii" else ("keypoints", 51)
    assert json.dumps([r[key] for r in before]) == json.dumps([r[key][:count] for r in after])
