"""Keypoints beyond one skeleton: parts of the body, which are hidden together, how long limbs are.

The sigmas and their sources stand with the skeletons (`core/skeletons`), the rules for midpoints in `core/derive`.
"""

from __future__ import annotations

from annotext.core.skeletons import COCO17, HALPE26, LIMB_JOINTS, MPII16, UNION21

# The 12 keypoints that COCO and MPII both label: the joints of arms and legs.
SHARED = COCO17.shared_with(MPII16)

SHOULDERS: tuple[str, str] = ("left_shoulder", "right_shoulder")
HIPS: tuple[str, str] = ("left_hip", "right_hip")
TORSO = (*SHOULDERS, *HIPS)

# MPII's mean PCKh is pooled over these 14: pelvis and thorax are midpoints, not labels, and stay out.
POOLED_JOINTS = tuple(k for k in MPII16.keypoints if k not in ("pelvis", "thorax"))

# Which half of the body a keypoint belongs to (MMPose's upper_body_ids and lower_body_ids, by name).
_LEG = LIMB_JOINTS[LIMB_JOINTS.index("hip") :]
LOWER_BODY = frozenset(
    k for k in (*UNION21.keypoints, *HALPE26.keypoints) if k.endswith((*_LEG, "pelvis", "toe", "heel"))
)
UPPER_BODY = frozenset(UNION21.keypoints) - LOWER_BODY

# An added point is written as hidden (v = 1) where a person marked both of these as hidden, else as visible (v = 2).
# Measured on two sets of 4,000 synthetic people with true visibility: with both hidden, the point is hidden for .65-.70
# (pelvis, thorax), .47-.49 (upper neck), .73-.90 (face); with one hidden, for .08-.15 (pelvis), .33-.35 (thorax),
# .10-.22 (upper neck). The head top is hidden for .02-.04 of people, and no pair says for whom (both ears: .43).
HIDDEN_WITH: dict[str, tuple[str, str]] = {
    "pelvis": HIPS,
    "thorax": SHOULDERS,
    "upper_neck": SHOULDERS,
    "nose": ("upper_neck", "head_top"),
    "left_eye": ("upper_neck", "head_top"),
    "right_eye": ("upper_neck", "head_top"),
    "left_ear": ("upper_neck", "head_top"),
    "right_ear": ("upper_neck", "head_top"),
}

# Longest plausible lengths of limbs in person sizes (`frame.size_of` the labelled points), named for the left side. Of
# limbs some real data set labels: their .999 quantile over people with six of `SHARED` labelled and a size of 20 px
# (COCO train2017, reconstructed: 27,367 to 78,388 people; MPII train: 14,183 to 14,588). Of limbs that join a COCO to
# an MPII point, which nobody labels: that quantile of 4,000 synthetic people times 1.6, by which real quantiles exceed
# synthetic ones where both are known (1.5 to 1.8).
LONGEST_LIMBS: dict[tuple[str, str], float] = {
    ("nose", "left_eye"): 0.31,
    ("left_eye", "right_eye"): 0.42,
    ("left_eye", "left_ear"): 0.58,
    ("left_ear", "right_ear"): 1.00,
    ("nose", "left_ear"): 0.77,
    ("nose", "left_shoulder"): 1.32,
    ("left_ear", "left_shoulder"): 1.07,
    ("pelvis", "thorax"): 1.80,
    ("pelvis", "left_hip"): 0.50,
    ("thorax", "left_shoulder"): 0.66,
    ("thorax", "upper_neck"): 0.60,
    ("upper_neck", "left_shoulder"): 0.80,
    ("upper_neck", "head_top"): 1.32,
    ("head_top", "left_shoulder"): 1.72,
    ("nose", "upper_neck"): 1.00,
    ("nose", "head_top"): 1.08,
    ("left_eye", "head_top"): 0.86,
    ("left_ear", "upper_neck"): 0.80,
    ("left_ear", "head_top"): 0.80,
}
# Shortest, where labels have a length at all: the .001 quantile of MPII train is .24, of synthetic people .11 and .15.
SHORTEST_LIMBS: dict[tuple[str, str], float] = {("upper_neck", "head_top"): 0.10}
