"""`annotext predict`: what predictors say about the people of an annotation file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from annotext.workflows.predict import UnlabelledOptions

TTA_HELP = (
    "Test-time augmentations, separated by commas: flip (the crop mirrored; costs one more run), shift (the crop moved "
    "a little to two sides; costs two). Each tells how far the point then moves, which calibration uses. --passes is "
    "the option's old name."
)
UNLABELLED_HELP = (
    "Also pseudo-label people with a box and no keypoints; never crowds. Such points are marked: they are no labels. "
    "The predictor's own scores decide about them: a calibration needs labelled keypoints to go by."
)
MIN_POINTS_HELP = "With --unlabelled: people with fewer sure points stay empty.  [default: 10]"
DETECTIONS_HELP = (
    "With --unlabelled: a COCO detection result file (a list of image_id, category_id, bbox, score); its people on "
    "images without annotations count too."
)
MIN_DETECTION_HELP = "With --detections: from which score a detection is a person.  [default: 0.5]"


def predict(
    annotations: Annotated[Path, typer.Argument(help="A COCO, MPII or Halpe annotation file.", readable=False)],
    images: Annotated[
        Path, typer.Option("--images", help="The folder its image names are relative to.", readable=False)
    ],
    predictor: Annotated[
        list[Path],
        typer.Option(
            "--predictor",
            help="A run of `annotext train`, a card, or an ONNX model with a card beside it; may be repeated.",
            readable=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="The parquet file to write.", readable=False)],
    tta: Annotated[str | None, typer.Option("--tta", "--passes", help=TTA_HELP)] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Also people with a box and no labelled keypoint; never crowds.")
    ] = False,
    detections: Annotated[Path | None, typer.Option("--detections", help=DETECTIONS_HELP, readable=False)] = None,
    min_detection: Annotated[float | None, typer.Option("--min-detection", help=MIN_DETECTION_HELP)] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what is faulty, and list it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write what predictors say about every person: all their keypoints, labelled or not, with scores and features.

    `annotext extend`, `decide` and `calibrate` work on such a file without images or models.
    """
    from annotext.cli.output import print_report
    from annotext.cli.progress import people_progress
    from annotext.cli.reports.extension import predict_text
    from annotext.workflows.predict import predict as run

    names = parse_tta(tta)
    options = unlabelled_options(unlabelled, detections, min_detection)
    with people_progress("predicting") as progress:
        result = run(
            annotations,
            images,
            predictor,
            output,
            tta=names,
            unlabelled=options,
            skip_bad=skip_bad,
            force=force,
            progress=progress,
        )
    print_report(result, as_json=as_json, text=predict_text)


def unlabelled_options(
    unlabelled: bool, detections: Path | None, min_detection: float | None, min_points: int | None = None
) -> UnlabelledOptions | None:
    """The options as `UnlabelledOptions`, None without --unlabelled; raises typer.BadParameter for what needs it."""
    from annotext.workflows.predict import UnlabelledOptions

    given = {"--detections": detections, "--min-points": min_points}
    for name, value in given.items():
        if value is not None and not unlabelled:
            raise typer.BadParameter(f"{name} goes with --unlabelled")
    if min_detection is not None and detections is None:
        raise typer.BadParameter("--min-detection goes with --detections")
    if not unlabelled:
        return None
    given = {"min_detection": min_detection, "min_points": min_points}
    return UnlabelledOptions(detections, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


def parse_tta(text: str | None) -> tuple[str, ...]:
    """`flip,shift` as names; raises typer.BadParameter for a name that is none."""
    from annotext.predictors.tta import AUGMENTATIONS

    names = tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))
    for name in names:
        if name not in AUGMENTATIONS:
            raise typer.BadParameter(f"there is no augmentation {name!r}, only {', '.join(AUGMENTATIONS)}")
    return names
