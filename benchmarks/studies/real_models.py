"""OKS of the real models on the real COCO persons, next to the figures that came with them.

    python benchmarks/studies/real_models.py FOLDER [MODEL ...]

FOLDER holds `models/` and `coco/` as the tests expect them in $ANNOTEXT_REAL. Also: how many of a model's points are
right (within 0.2 torso, mid-shoulder to mid-hip) above a score, which is where the default of `--min-score` comes from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from annotext.formats.annotations.read import read_annotations
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict

GIVEN = {"simplepose_nano_coco17": 0.719, "efficientpose_i_mpii16": 0.421, "efficientpose_ii_mpii16": 0.475}
TORSO = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", default=list(GIVEN))
    given = parser.parse_args()
    for model in given.models:
        predictor = load_predictor(given.folder / "models" / f"{model}.json")
        oks, right, scores = [], [], []
        for split in ("train2017", "val2017"):
            file = given.folder / "coco" / "annotations" / f"person_keypoints_{split}_subset.json"
            poses = read_annotations(file).poses
            [found] = predict([predictor], poses, given.folder / "coco" / "images" / split)
            shared = poses.skeleton.shared_with(found.skeleton)
            ours, theirs = poses.skeleton.indices(shared), found.skeleton.indices(shared)
            squared = ((found.xy[:, theirs] - poses.xy[:, ours]) ** 2).sum(axis=-1)
            labelled = poses.labelled[:, ours]
            similarity = np.exp(-squared / (8 * poses.area[:, None] * poses.skeleton.sigma_array[ours] ** 2))
            with np.errstate(invalid="ignore"):
                oks.append(np.where(labelled, similarity, 0).sum(axis=1) / labelled.sum(axis=1))
            shoulders, hips = (poses.xy[:, poses.skeleton.indices(pair)].mean(axis=1) for pair in TORSO)
            torso = np.linalg.norm(shoulders - hips, axis=-1)
            known = labelled & (torso > 0)[:, None]
            right.append((np.sqrt(squared) <= 0.2 * torso[:, None])[known])
            scores.append(found.score[:, theirs][known])
        every, hit, score = np.concatenate(oks), np.concatenate(right), np.concatenate(scores)
        print(f"{model}: OKS {np.nanmean(every):.4f} over {np.isfinite(every).sum()} (given {GIVEN.get(model, '-')})")
        for least in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7):
            kept = score >= least
            if kept.any():
                print(f"  score >= {least:.1f}: {hit[kept].mean():.3f} right of {kept.sum()} ({kept.mean():.3f} kept)")


if __name__ == "__main__":
    main()
