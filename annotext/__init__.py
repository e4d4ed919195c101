"""annotext adds the keypoints a pose data set lacks, and says how far to trust each one.

The Python API is what this module names; nothing heavy is imported before it is used. docs/api.md describes it.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from collections.abc import Mapping

    from annotext.core.errors import AnnotextError, InputError
    from annotext.core.poses import Poses
    from annotext.core.skeleton import Skeleton
    from annotext.formats.annotations.read import AnnotationFile
    from annotext.formats.annotations.read import read_annotations as read
    from annotext.predictors.load import load_predictor
    from annotext.predictors.predictor import Predictor
    from annotext.workflows.apply import apply
    from annotext.workflows.calibrate import calibrate
    from annotext.workflows.decide import PolicyOptions, decide
    from annotext.workflows.evaluate import evaluate_files as evaluate
    from annotext.workflows.extend import extend
    from annotext.workflows.predict import UnlabelledOptions, predict
    from annotext.workflows.strip import strip_file as strip
    from annotext.workflows.synth import synthesise
    from annotext.workflows.train import train_student as train

    skeletons: Mapping[str, Skeleton]

# Public name -> where it is; the same as above, for when it is used.
_HOMES = {
    "read": "formats.annotations.read:read_annotations",
    "AnnotationFile": "formats.annotations.read:AnnotationFile",
    "Poses": "core.poses:Poses",
    "Skeleton": "core.skeleton:Skeleton",
    "load_predictor": "predictors.load:load_predictor",
    "Predictor": "predictors.predictor:Predictor",
    "predict": "workflows.predict:predict",
    "calibrate": "workflows.calibrate:calibrate",
    "extend": "workflows.extend:extend",
    "decide": "workflows.decide:decide",
    "PolicyOptions": "workflows.decide:PolicyOptions",
    "UnlabelledOptions": "workflows.predict:UnlabelledOptions",
    "evaluate": "workflows.evaluate:evaluate_files",
    "apply": "workflows.apply:apply",
    "strip": "workflows.strip:strip_file",
    "train": "workflows.train:train_student",
    "synthesise": "workflows.synth:synthesise",
    "AnnotextError": "core.errors:AnnotextError",
    "InputError": "core.errors:InputError",
}

__all__ = [
    "AnnotationFile",
    "AnnotextError",
    "InputError",
    "PolicyOptions",
    "Poses",
    "Predictor",
    "Skeleton",
    "UnlabelledOptions",
    "apply",
    "calibrate",
    "decide",
    "evaluate",
    "extend",
    "load_predictor",
    "predict",
    "read",
    "skeletons",
    "strip",
    "synthesise",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is used first."""
    if name == "skeletons":
        from annotext.formats.files.skeletons import known_skeletons

        value: Any = MappingProxyType(known_skeletons())
    elif name in _HOMES:
        module, _, attribute = _HOMES[name].partition(":")
        value = getattr(import_module(f"annotext.{module}"), attribute)
    else:
        raise AttributeError(f"module 'annotext' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
