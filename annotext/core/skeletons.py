"""The skeletons annotext knows by heart, each number with its source.

Canonical names are MMPose's; where a data set spells a keypoint differently the skeleton declares the synonym.
"""

from __future__ import annotations

from annotext.core.skeleton import Skeleton, union

# cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py, Params.setKpParams: kpt_oks_sigmas (there divided by 10).
_COCO_SIGMAS = {
    "nose": 0.026,
    "left_eye": 0.025,
    "right_eye": 0.025,
    "left_ear": 0.035,
    "right_ear": 0.035,
    "left_shoulder": 0.079,
    "right_shoulder": 0.079,
    "left_elbow": 0.072,
    "right_elbow": 0.072,
    "left_wrist": 0.062,
    "right_wrist": 0.062,
    "left_hip": 0.107,
    "right_hip": 0.107,
    "left_knee": 0.087,
    "right_knee": 0.087,
    "left_ankle": 0.089,
    "right_ankle": 0.089,
}

# Fang-Haoshu/Halpe-FullBody and the Halpe evaluation code: .080 for head, neck and hip, .089 for each foot point.
_HALPE_SIGMAS = {
    "head_top": 0.080,
    "upper_neck": 0.080,
    "pelvis": 0.080,
    "left_big_toe": 0.089,
    "right_big_toe": 0.089,
    "left_small_toe": 0.089,
    "right_small_toe": 0.089,
    "left_heel": 0.089,
    "right_heel": 0.089,
}

# MPII publishes none (its metric is PCKh). The joints it shares with COCO take COCO's; pelvis, neck and head top the
# official Halpe values; thorax, the midpoint of the shoulders, a shoulder's.
_MPII_OWN_SIGMAS = {"pelvis": 0.080, "thorax": 0.079, "upper_neck": 0.080, "head_top": 0.080}

# The joints there are on both sides, from the shoulder out and from the hip down.
LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_LIMB_FLIPS = tuple((f"left_{joint}", f"right_{joint}") for joint in LIMB_JOINTS)
_FACE_FLIPS = (("left_eye", "right_eye"), ("left_ear", "right_ear"))

COCO17 = Skeleton(
    name="coco17",
    keypoints=tuple(_COCO_SIGMAS),
    # COCO's own `skeleton`, categories[0] of person_keypoints_train2017.json, there as 1-based index pairs.
    edges=(
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),
    flip_pairs=(*_FACE_FLIPS, *_LIMB_FLIPS),
    sigmas=_COCO_SIGMAS,
    sigma_source="COCO official (pycocotools)",
)

_MPII_KEYPOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "upper_neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)

MPII16 = Skeleton(
    name="mpii16",
    keypoints=_MPII_KEYPOINTS,
    # MMPose configs/_base_/datasets/mpii.py.
    edges=(
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("right_hip", "pelvis"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        ("pelvis", "thorax"),
        ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
        ("thorax", "right_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("thorax", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
    ),
    flip_pairs=_LIMB_FLIPS,
    sigmas={**_COCO_SIGMAS, **_MPII_OWN_SIGMAS},
    sigma_source="shared joints COCO official; pelvis, upper_neck, head_top Halpe official; thorax as a shoulder",
)

HALPE26 = Skeleton(
    name="halpe26",
    keypoints=(*COCO17.keypoints, *_HALPE_SIGMAS),
    edges=(
        *COCO17.edges,
        ("head_top", "upper_neck"),
        ("upper_neck", "left_shoulder"),
        ("upper_neck", "right_shoulder"),
        ("upper_neck", "pelvis"),
        ("pelvis", "left_hip"),
        ("pelvis", "right_hip"),
        ("left_ankle", "left_big_toe"),
        ("left_ankle", "left_small_toe"),
        ("left_ankle", "left_heel"),
        ("right_ankle", "right_big_toe"),
        ("right_ankle", "right_small_toe"),
        ("right_ankle", "right_heel"),
    ),
    flip_pairs=(
        *COCO17.flip_pairs,
        ("left_big_toe", "right_big_toe"),
        ("left_small_toe", "right_small_toe"),
        ("left_heel", "right_heel"),
    ),
    sigmas={**_COCO_SIGMAS, **_HALPE_SIGMAS},
    sigma_source="Halpe official (COCO's for the 17, .080 head, neck and hip, .089 feet)",
    synonyms={"head": "head_top", "neck": "upper_neck", "hip": "pelvis"},
)

# The paper's 21 points: 0-16 COCO's order, 17 pelvis, 18 thorax, 19 upper_neck, 20 head_top.
UNION21 = union(COCO17, MPII16, name="union21")

BUILT_IN = {s.name: s for s in (COCO17, MPII16, HALPE26, UNION21)}

# What other tools use in place of the sigmas above; evaluate takes a set by name and prints it.
# MMPose configs/_base_/datasets/halpe26.py and mpii.py (1.3.2).
MMPOSE_HALPE26_SIGMAS = {
    **HALPE26.sigmas,
    "head_top": 0.026,
    "upper_neck": 0.026,
    "pelvis": 0.066,
    **dict.fromkeys(HALPE26.missing_from(UNION21), 0.079),
}
