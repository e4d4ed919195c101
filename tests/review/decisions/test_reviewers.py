"""What each reviewer did, and how fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from reviewers import correction

from annotext.review.decisions.correction import Verdict
from annotext.review.decisions.reviewers import Pace, reviewers


def test_the_last_word_on_a_point_counts_and_what_was_taken_back_does_not() -> None:
    decisions = [
        correction(1, Verdict.REJECT),
        correction(2, Verdict.ACCEPT),
        correction(3, Verdict.REJECT, keypoint="thorax"),
        correction(4, Verdict.UNDO, keypoint="thorax"),
        correction(5, Verdict.NOTE, keypoint="", old=None, note="blurred"),
    ]
    (ann,) = reviewers(decisions)
    assert (ann.name, dict(ann.verdicts), ann.points, ann.decisions) == ("ann", {"accept": 1}, 1, 5)


def test_pauses_are_no_work() -> None:
    times = ["10:00:00", "10:00:30", "10:01:00", "12:00:00", "12:00:30"]
    decisions = [correction(n, time=f"2026-01-31T{time}Z", person=n) for n, time in enumerate(times, start=1)]
    (ann,) = reviewers(decisions)
    assert ann.minutes == pytest.approx(1.5)
    assert ann.per_minute == pytest.approx(2.0)
    assert ann.last == "2026-01-31T12:00:30Z"


def test_the_speed_of_somebody_without_times_is_unknown() -> None:
    found = reviewers([correction(1, time="", reviewer="bob"), correction(2, time="", person=2, reviewer="bob")])
    assert [(r.name, r.per_minute, r.last, r.points) for r in found] == [("bob", None, "", 2)]


def test_the_pace_leaves_out_pauses_whatever_the_order() -> None:
    times = [datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=10 * i) for i in range(7)]
    later = [t + timedelta(hours=1) for t in times]
    assert Pace.of(times).per_minute == pytest.approx(6)
    assert Pace.of([*later, *times]) == Pace(12, 2.0)
    assert Pace.of(times[:1]).per_minute is None
