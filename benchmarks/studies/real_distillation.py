"""Do small real models teach a small student anything on a few real pictures?

    python benchmarks/studies/real_distillation.py REAL --init CHECKPOINT --out DIR [--samples 6000] [--seeds 3]

REAL holds real COCO and MPII pictures and the two ONNX models, laid out as tests/conftest.py describes (ANNOTEXT_REAL).
CHECKPOINT is the demo's student: weights to start from. The student learns from the labelled people of the COCO train
pictures and the few MPII people; with and without teachers, with all labels and with those of every second picture
withheld.

Judged on the labelled points of the val pictures: mean OKS per person, averaged over the seeds; the interval of a
difference comes from resampling the people (95 %). The sample is small.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from synthetic_study import command

from annotext.evaluation.oks import oks
from annotext.formats.annotations.read import read_annotations
from annotext.formats.files.recipe import (
    DataRecipe,
    DistilRecipe,
    Recipe,
    TeacherRecipe,
    find_recipe,
    read_recipe,
    write_recipe,
)
from annotext.predictors.load import load_predictor
from annotext.predictors.pipeline import predict

VAL = "person_keypoints_val2017_official_objects.json"

# A heatmap is wider than the labels' Gaussian (4.5 and 5.8 student pixels against 2.5): the square of the ratio.
TEMPERATURE = {"coco": 0.3, "mpii": 0.2}
MODELS = {"coco": "simplepose_nano_coco17.json", "mpii": "efficientpose_i_mpii16.json"}
WEIGHTS = {"coco": 0.45, "mpii": 0.25}

RESAMPLES = 4000


def split(real: Path, out: Path) -> dict[str, Path]:
    """The COCO file as a whole, and every second picture's people each in a file of their own."""
    source = real / "coco/annotations/person_keypoints_train2017_subset.json"
    document = json.loads(source.read_text())
    ids = sorted(image["id"] for image in document["images"])
    files = {"all": source}
    for name, chosen in (("half", set(ids[::2])), ("rest", set(ids[1::2]))):
        part = document | {
            "images": [i for i in document["images"] if i["id"] in chosen],
            "annotations": [a for a in document["annotations"] if a["image_id"] in chosen],
        }
        files[name] = out / f"{name}.json"
        files[name].write_text(json.dumps(part))
    return files


def recipes(given: argparse.Namespace, files: dict[str, Path]) -> dict[str, Recipe]:
    demo = read_recipe(find_recipe("demo"))

    def coco(name: str, which: str, share: float, labels: bool = True) -> DataRecipe:
        return DataRecipe(
            name=name,
            skeleton="coco17",
            annotations=str(files[which].resolve()),
            images=str((given.real / "coco/images/train2017").resolve()),
            share=share,
            min_keypoints=3 if labels else 0,
            labels=labels,
        )

    mpii = DataRecipe(
        name="mpii",
        skeleton="mpii16",
        root=str((given.real / "mpii").resolve()),
        annotations="annotations/test_mpii.json",
        images="images",
        share=0.1,
    )
    teachers = tuple(
        TeacherRecipe(
            name=name,
            source=str((given.real / "models" / model).resolve()),
            weight=WEIGHTS[name],
            temperature=TEMPERATURE[name],
        )
        for name, model in MODELS.items()
    )
    base = replace(
        demo,
        student=replace(demo.student, init=str(given.init.resolve())),
        optim=replace(demo.optim, lr=2e-3),
        schedule=replace(demo.schedule, samples=given.samples, warmup=30),
        runtime=replace(demo.runtime, threads=given.threads, checkpoint_every=100_000),
    )
    # Trust is the two heatmap peaks' own: what such small models are unsure of is not taught.
    taught = {"teacher": teachers, "distil": DistilRecipe(alpha=0.3, confidence="peak")}
    whole = (coco("coco", "all", 0.9), mpii)
    half = (coco("coco", "half", 0.9), mpii)
    rest = (coco("coco", "half", 0.45), coco("coco-unlabelled", "rest", 0.45, labels=False), mpii)
    return {
        "all labels": replace(base, data=whole),
        "all labels + teachers": replace(base, data=whole, **taught),
        "half the labels": replace(base, data=half),
        "half the labels + teachers": replace(base, data=half, **taught),
        "half the labels + teachers, rest unlabelled": replace(base, data=rest, **taught),
    }


def similarity(run: Path, given: argparse.Namespace) -> NDArray[np.float64]:
    """(N,) OKS of each val person by the labelled points."""
    truth = read_annotations(given.real / "coco/annotations" / VAL).poses
    truth = truth.take(truth.labelled.any(axis=1) & ~truth.crowd)
    found = predict([load_predictor(run)], truth, given.real / "coco/images/val2017")[0]
    columns = found.skeleton.indices(truth.skeleton.keypoints)
    sigmas = np.array([truth.skeleton.sigmas[k] for k in truth.skeleton.keypoints])
    return oks(truth.xy, found.xy[:, columns].astype(np.float64), truth.area, sigmas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--init", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    found: dict[str, list[NDArray[np.float64]]] = {}
    for seed in range(1, given.seeds + 1):
        for name, recipe in recipes(given, split(given.real, given.out)).items():
            slug = "".join(c if c.isalnum() else "-" for c in name) + f"-{seed}"
            run = given.out / slug
            if not (run / "card.json").is_file():
                path = given.out / f"{slug}.toml"
                write_recipe(replace(recipe, name=slug, seed=seed), path)
                command("train", path, "--out", run, "--device", "cpu", *(["--force"] * run.exists()))
            found.setdefault(name, []).append(similarity(run, given))

    people = {name: np.mean(values, axis=0) for name, values in found.items()}
    rng = np.random.default_rng(0)
    n = len(next(iter(people.values())))
    drawn = rng.integers(0, n, (RESAMPLES, n))
    print(f"\nmean OKS of {n} val people, {given.seeds} seeds, {given.samples} samples each")
    for name, values in people.items():
        against = "all labels" if name.startswith("all") else "half the labels"
        line = f"{name:<46} {values.mean():.3f}"
        if name != against:
            lead = values - people[against]
            low, high = np.quantile(lead[drawn].mean(axis=1), [0.025, 0.975])
            line += f"   {lead.mean():+.3f} [{low:+.3f}, {high:+.3f}] against {against}"
        print(line + "   by seed " + " ".join(f"{v.mean():.3f}" for v in found[name]))


if __name__ == "__main__":
    main()
