"""What each reviewer did, and how fast."""

from __future__ import annotations

import pytest
from reviewers import correction

from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.reviewers import reviewers


def test_the_last_word_on_a_point_counts_and_what_was_taken_back_does_not() -> None:
    said = [
        correction(1, Verdict.REJECT),
        correction(2, Verdict.ACCEPT),
        correction(3, Verdict.REJECT, keypoint="thorax"),
        correction(4, Verdict.UNDO, keypoint="thorax"),
        correction(5, Verdict.NOTE, keypoint="", old=None, note="blurred"),
    ]
    (ann,) = reviewers(said)
    assert (ann.name, dict(ann.verdicts), ann.points, ann.decisions) == ("ann", {"accept": 1}, 1, 5)


def test_pauses_are_no_work() -> None:
    times = ["10:00:00", "10:00:30", "10:01:00", "12:00:00", "12:00:30"]
    said = [correction(n, time=f"2026-01-31T{time}Z", person=n) for n, time in enumerate(times, start=1)]
    (ann,) = reviewers(said)
    assert ann.minutes == pytest.approx(1.5)
    assert ann.per_minute == pytest.approx(2.0)
    assert ann.last == "2026-01-31T12:00:30Z"


def test_the_speed_of_somebody_without_times_is_unknown() -> None:
    found = reviewers([correction(1, time="", reviewer="bob"), correction(2, time="", person=2, reviewer="bob")])
    assert [(r.name, r.per_minute, r.last, r.points) for r in found] == [("bob", None, "", 2)]
