"""Lets MMPose be imported without what it names at import time and RTMPose never uses.

`import mmpose.models` (1.3.2) pulls in three things that cannot be had from a plain `pip install`:

- `mmcv.ops`, compiled CUDA/C++ operators, taken by the deformable attention of other models
  (`mmpose/models/heads/transformer_heads/`). mmcv-lite has none.
- `mmdet.utils`, taken by `mmpose/models/heads/hybrid_heads/rtmo_head.py`. A real mmdet without compiled mmcv breaks
  MMPose's registry look-ups, so it is left out on purpose.
- `xtcocotools`, a fork of pycocotools whose wheels are built for numpy 1. pycocotools has the same API where MMPose
  uses it.

`install()` puts a stand-in into `sys.modules` for each of them that cannot be found, and nothing where the real
package is installed. A stand-in operator is a class that says what is missing when someone builds it.

Every module of annotext that imports mmengine, mmcv or mmpose calls `install()` first.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

# What MMPose imports by name from the missing modules.
_MMCV_OPS = ("MultiScaleDeformableAttention", "DeformConv2d", "ModulatedDeformConv2d")
_XTCOCO_MODULES = ("coco", "cocoeval", "mask")


def _missing_operator(name: str) -> type:
    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise ImportError(f"{name} needs the compiled mmcv; RTMPose and annotext's students do not use it")

    return type(name, (), {"__init__": refuse, "__module__": "mmcv.ops"})


def _found(name: str) -> bool:
    """Whether `name` is loaded or can be found; a parent that is missing counts as not found."""
    if name in sys.modules:
        return True
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _stand_in(name: str, doc: str, *, package: bool = False) -> ModuleType:
    module = ModuleType(name, f"annotext stand-in: {doc}")
    # find_spec refuses a loaded module without a spec, and other libraries ask it.
    module.__spec__ = ModuleSpec(name, None, is_package=package)
    if package:
        module.__path__ = []
    sys.modules[name] = module
    return module


def _put_mmcv_ops() -> None:
    module = _stand_in("mmcv.ops", "mmcv-lite has no compiled operators")
    for name in _MMCV_OPS:
        setattr(module, name, _missing_operator(name))


def _put_mmdet() -> None:
    package = _stand_in("mmdet", "MMPose only needs mmdet.utils", package=True)
    utils = _stand_in("mmdet.utils", "the two names rtmo_head.py imports")
    vars(package)["utils"] = utils
    vars(utils).update(ConfigType=dict, reduce_mean=_missing_operator("mmdet.utils.reduce_mean"))


def _put_xtcocotools() -> None:
    package = _stand_in("xtcocotools", "pycocotools under the name of its fork", package=True)
    for name in _XTCOCO_MODULES:
        module = importlib.import_module(f"pycocotools.{name}")
        setattr(package, name, module)
        sys.modules[f"xtcocotools.{name}"] = module


def install() -> tuple[str, ...]:
    """Put the stand-ins into `sys.modules`; returns the names that needed one (empty the second time)."""
    put: list[str] = []
    # mmcv says that it is the lite build, mmengine imports pkg_resources, mmpose calls torch by an old name: none of it
    # is the user's business.
    warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message=r"`torch.cuda.amp.autocast\(args...\)` is deprecated")

    stand_ins = (
        ("mmcv.ops", _works("mmcv.ops"), _put_mmcv_ops),
        ("mmdet.utils", _found("mmdet"), _put_mmdet),
        ("xtcocotools", _found("xtcocotools"), _put_xtcocotools),
    )
    for name, present, put_stand_in in stand_ins:
        if not present:
            put_stand_in()
            put.append(name)
    return tuple(put)


def _works(name: str) -> bool:
    """Whether a compiled module can really be imported: mmcv-lite may ship the folder without what is in it."""
    if name in sys.modules:
        return True
    if not _found(name):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
            return all(hasattr(module, n) for n in _MMCV_OPS)
    except ImportError:
        return False


@contextmanager
def mmengine_quiet() -> Iterator[None]:
    """While MMEngine builds and initialises a model: it logs every single weight."""
    from mmengine.logging import MMLogger

    log = MMLogger.get_current_instance()
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
