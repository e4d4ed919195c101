"""The stand-ins, each in a process of its own: what is in sys.modules cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")


def run_python(code: str, *, path: Path | None = None) -> str:
    before = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", before + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_after_the_bridge_mmpose_models_import_and_rtmposes_parts_are_there() -> None:
    out = run_python(
        "from annotext.training.model import bridge; bridge.install()\n"
        "import mmpose.models; from mmpose.registry import MODELS\n"
        "print(MODELS.get('CSPNeXt') is not None and MODELS.get('RTMCCHead') is not None)"
    )
    assert out == "True"


def test_installing_twice_puts_nothing_new() -> None:
    assert run_python("from annotext.training.model import bridge; bridge.install(); print(bridge.install())") == "()"


def test_a_real_package_is_left_alone(tmp_path: Path) -> None:
    for name in ("mmdet", "xtcocotools"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("real = True\n")
    out = run_python(
        "from annotext.training.model import bridge; put = bridge.install()\n"
        "import mmdet, xtcocotools; print(mmdet.real, xtcocotools.real, 'mmdet.utils' in put, 'xtcocotools' in put)",
        path=tmp_path,
    )
    assert out == "True True False False"


def test_the_stand_in_for_xtcocotools_is_pycocotools() -> None:
    out = run_python(
        "from annotext.training.model import bridge; bridge.install()\n"
        "import pycocotools.coco; from xtcocotools.coco import COCO; print(COCO is pycocotools.coco.COCO)"
    )
    assert out == "True"


def test_a_stand_in_operator_says_what_is_missing_when_it_is_built() -> None:
    out = run_python(
        "from annotext.training.model import bridge; bridge.install()\n"
        "from mmcv.ops import DeformConv2d\n"
        "try: DeformConv2d(1, 1)\n"
        "except ImportError as error: print(error)"
    )
    assert "needs the compiled mmcv" in out
