"""The body is a body: lengths, sides, up and down."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from annotext.synth.body import Bodies, pose_bodies, rotation, vector
from annotext.synth.draws import Draws, draw_rows
from annotext.synth.figure import KEYPOINTS, OUTLINES, TABLE_POINTS, Figures, project_bodies
from annotext.synth.postures import LIMBS, POSTURES, TRUNK, sample_angles

N = 200


def _people(posture: str, *, yaw: float = 0.0, seed: int = 0) -> tuple[Bodies, Figures]:
    draws = Draws(draw_rows(np.random.default_rng(seed), N))
    angles, _ = sample_angles(draws, {posture: 1.0})
    bodies = pose_bodies(angles, np.full(N, yaw), np.zeros(N), draws)
    return bodies, project_bodies(bodies, np.full(N, 5.0), np.tile([0.0, -1.0], (N, 1)))


def _picture(figures: Figures, name: str) -> np.ndarray:
    return figures.table[:, OUTLINES["keypoints"]][:, KEYPOINTS.index(name)]


def test_rotations_keep_lengths_and_handedness():
    for axis in "xyz":
        matrix = rotation(axis, np.linspace(-3, 3, 7))
        assert np.allclose(matrix @ np.swapaxes(matrix, 1, 2), np.eye(3))
        assert np.allclose(np.linalg.det(matrix), 1)


def test_a_turn_about_the_vertical_moves_forward_to_the_pictures_right():
    assert np.allclose(rotation("y", np.pi / 2) @ vector(0, 0, 1), vector(1, 0, 0))


@pytest.mark.parametrize("posture", sorted(POSTURES))
def test_bones_keep_their_length_in_every_posture(posture: str):
    bodies, _ = _people(posture)
    thigh = np.linalg.norm(bodies.points["left_knee"] - bodies.points["left_hip"], axis=1)
    other = np.linalg.norm(bodies.points["right_knee"] - bodies.points["right_hip"], axis=1)
    assert np.allclose(thigh, other)
    assert thigh.min() > 0.17 and thigh.max() < 0.30


@pytest.mark.parametrize("posture", sorted(POSTURES))
def test_every_posture_names_every_angle(posture: str):
    assert set(TRUNK) <= set(POSTURES[posture])
    for limb in LIMBS:
        assert limb in POSTURES[posture] or {f"a.{limb}", f"b.{limb}"} <= set(POSTURES[posture])


def test_standing_people_have_their_head_above_the_neck_above_the_hips_above_the_feet():
    _, figures = _people("stand")
    names = ("head_top", "upper_neck", "thorax", "pelvis", "left_knee", "left_ankle")
    for upper, lower in pairwise(_picture(figures, name)[:, 1] for name in names):
        assert (upper < lower).all()


def test_handstands_have_their_head_below():
    _, figures = _people("handstand")
    assert (_picture(figures, "head_top")[:, 1] > _picture(figures, "pelvis")[:, 1]).all()


def test_who_faces_the_viewer_has_the_left_side_on_the_pictures_right():
    _, front = _people("stand", yaw=0.0)
    _, back = _people("stand", yaw=np.pi)
    for name in ("shoulder", "hip"):
        assert (_picture(front, f"left_{name}")[:, 0] > _picture(front, f"right_{name}")[:, 0]).all()
        assert (_picture(back, f"left_{name}")[:, 0] < _picture(back, f"right_{name}")[:, 0]).all()


def test_faces_face_the_viewer_from_the_front_and_not_from_behind():
    _, front = _people("stand", yaw=0.0)
    _, back = _people("stand", yaw=np.pi)
    assert front.shown["mouth"].mean() > 0.5
    assert (back.shown["mouth"] < 0).all()


def test_walkers_swing_the_arm_against_the_leg():
    bodies, _ = _people("walk")
    leg = bodies.points["left_knee"][:, 2] - bodies.points["right_knee"][:, 2]
    arm = bodies.points["left_elbow"][:, 2] - bodies.points["right_elbow"][:, 2]
    assert np.corrcoef(leg, arm)[0, 1] < -0.7


def test_the_table_of_outlines_is_finite_and_full():
    _, figures = _people("throw", yaw=1.0)
    assert figures.table.shape == (N, TABLE_POINTS, 2)
    assert np.isfinite(figures.table).all()


def test_eyes_ears_and_nose_lie_within_the_head_box_but_for_a_nose_in_profile():
    _, figures = _people("stand", yaw=0.3)
    for name in ("left_eye", "right_eye", "left_ear", "right_ear"):
        xy = _picture(figures, name)
        assert (xy >= figures.head_box_xyxy[:, :2] - 0.01).all() and (xy <= figures.head_box_xyxy[:, 2:] + 0.01).all()
