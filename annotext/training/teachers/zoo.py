"""MMPose's RTMPose models as frozen networks: the zoo's by name, anybody's by configuration and checkpoint.

Nothing is downloaded: a zoo entry knows the address, and a checkpoint that is not there is an error that says it.
Configurations are read, not run (`annotext.training.teachers.mmpose_config`); checkpoints are loaded as
`annotext.training.run.checkpoints` allows.

N people, K keypoints, (h, w) the input, Bx and By bins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from annotext.core.errors import InputError
from annotext.core.skeletons import BUILT_IN, COCO17, HALPE26, MPII16
from annotext.training.model import bridge
from annotext.training.run.checkpoints import fill, load_checkpoint, note_on_stderr, weights_of
from annotext.training.teachers.mmpose_config import read_config, shipped_configs

bridge.install()

from mmengine.registry import MODELS as ROOT_MODELS  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

_RTMPOSE = "configs/body_2d_keypoint/rtmpose"
_WEIGHTS = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1"

# What MMPose's GetBBoxCenterScale grows a box by where a configuration does not say.
_PADDING = 1.25

# MMPose's MpiiDataset subtracts 1 from MPII's 1-based centres and leaves the joints as they are
# (datasets/datasets/body/mpii_dataset.py, 1.3.2), so that a model learns every joint one pixel too low. To the right
# it would be one pixel as well, but RandomFlip mirrors x to width - 1 - x, which turns +1 into -1 for the half of the
# samples that are mirrored, and a network cannot tell which: to the sides it stays in the middle.
MPII_OFFSET = (0.0, -1.0)


@dataclass(frozen=True)
class ZooModel:
    """One model of MMPose's zoo. config: inside the installed mmpose. weights: the address. keypoints: canonical.
    published: figures of MMPose's own table, 0-1. pixel_offset: image pixels, to be added to what it sees. sha256: of
    the file at the address, where somebody has published it."""

    config: str
    weights: str
    keypoints: tuple[str, ...]
    published: Mapping[str, float]
    pixel_offset: tuple[float, float] = (0.0, 0.0)
    sha256: str = ""

    @property
    def file(self) -> str:
        return self.weights.rpartition("/")[2]

    @property
    def stamp(self) -> str:
        """8 hexadecimal digits of the file's name: the start of the sha256 that it had when it got that name."""
        return self.file.rpartition("_")[0][-8:]


def _coco(size: str, trained_on: str, stamp: str, day: str, ap: float, sha256: str = "") -> ZooModel:
    written = "tiny" if size == "t" else size
    config = "coco" if trained_on == "coco" else "aic-coco"
    return ZooModel(
        config=f"{_RTMPOSE}/coco/rtmpose-{size}_8xb256-420e_{config}-256x192.py",
        weights=f"{_WEIGHTS}/rtmpose-{written}_simcc-{trained_on}_pt-aic-coco_420e-256x192-{stamp}_{day}.pth",
        keypoints=COCO17.keypoints,
        published={"AP": ap},
        sha256=sha256,
    )


# Addresses and figures: the .yml files beside the configurations in mmpose 1.3.2 (a test compares them).
# The paper only says RTMPose-m; the authors' public code names rtmpose-m-coco-256x192 and rtmpose-m-mpii-256x256.
ZOO: Mapping[str, ZooModel] = {
    "rtmpose-t-coco-256x192": _coco("t", "coco", "e613ba3f", "20230127", 0.682),
    "rtmpose-s-coco-256x192": _coco(
        "s",
        "coco",
        "8edcf0d7",
        "20230127",
        0.716,
        # open-mmlab/mmpose issue 3273.
        sha256="29dcacbb5c5f3ab2f03a67fedcb58cf7287f93b9a8a9d893f42416b63fc304ba",
    ),
    "rtmpose-m-coco-256x192": _coco("m", "coco", "d8dd5ca4", "20230127", 0.746),
    "rtmpose-l-coco-256x192": _coco("l", "coco", "1352a4d2", "20230127", 0.758),
    "rtmpose-t-aic-coco-256x192": _coco("t", "aic-coco", "cfc8f33d", "20230126", 0.685),
    "rtmpose-s-aic-coco-256x192": _coco("s", "aic-coco", "fcb2599b", "20230126", 0.722),
    "rtmpose-m-aic-coco-256x192": _coco("m", "aic-coco", "63eb25f7", "20230126", 0.758),
    "rtmpose-l-aic-coco-256x192": _coco("l", "aic-coco", "f016ffe0", "20230126", 0.765),
    "rtmpose-m-mpii-256x256": ZooModel(
        config=f"{_RTMPOSE}/mpii/rtmpose-m_8xb64-210e_mpii-256x256.py",
        weights=f"{_WEIGHTS}/rtmpose-m_simcc-mpii_pt-aic-coco_210e-256x256-ec4dbec8_20230206.pth",
        keypoints=MPII16.keypoints,
        published={"Mean": 0.907, "Mean@0.1": 0.348},
        pixel_offset=MPII_OFFSET,
    ),
    "rtmpose-m-halpe26-256x192": ZooModel(
        config=f"{_RTMPOSE}/body8/rtmpose-m_8xb512-700e_body8-halpe26-256x192.py",
        weights=f"{_WEIGHTS}/rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.pth",
        keypoints=HALPE26.keypoints,
        published={"AUC": 0.719},
    ),
}


@dataclass(frozen=True)
class PoseModel:
    """An MMPose top-down SimCC model, frozen and in evaluation mode.

    keypoints: canonical names in the order of its output. expand: the box is grown by it. split_ratio: bins per crop
    pixel. beta: the logits' factor. sigma: (x, y) crop pixels of its targets. pixel_offset: image pixels, to be added
    to what it sees. mean, std: of values 0-255, in the network's channel order; rgb: that order. module: (N, 3, h, w)
    network input -> raw logits. sha256: of the checkpoint.
    """

    keypoints: tuple[str, ...]
    input_wh: tuple[int, int]
    expand: float
    split_ratio: float
    beta: float
    sigma: tuple[float, float]
    pixel_offset: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rgb: bool
    module: _Network
    sha256: str
    description: str

    def normalise(self, image: Tensor) -> Tensor:
        """(N, h, w, 3) uint8 RGB -> (N, 3, h, w) float32 network input, on the module's device."""
        return self.module.normalise(image)

    @torch.no_grad()
    def log_potentials(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, h, w, 3) uint8 RGB crops -> (N, K, Bx), (N, K, By) float32, whose softmax is what it believes."""
        x, y = self.module(self.normalise(image))
        return self.beta * x, self.beta * y


class _Network(nn.Module):
    """MMPose's backbone and head under MMPose's names. mean, std, rgb: as of `PoseModel`. amp: run the backbone under
    bfloat16 autocast; the head always computes in float32."""

    mean: Tensor
    std: Tensor
    amp = False

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        rgb: bool,
    ) -> None:
        super().__init__()
        self.backbone: nn.Module = MODELS.build(backbone)
        self.head: nn.Module = MODELS.build(head)
        self.rgb = rgb
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.backbone.to(memory_format=torch.channels_last)  # about twice as fast on a CPU

    def normalise(self, image: Tensor) -> Tensor:
        """(N, h, w, 3) uint8 RGB -> (N, 3, h, w) float32 network input."""
        pixels = (image if self.rgb else image.flip(-1)).permute(0, 3, 1, 2).to(torch.float32)
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.amp):
            features = self.backbone(inputs)
        return self.head.forward(tuple(f.float() for f in features))


def load_mmpose(
    source: str,
    checkpoint: Path,
    *,
    place: tuple[str, str],
    unpickle: Collection[Path] = (),
    note: Callable[[str], None] = note_on_stderr,
) -> PoseModel:
    """The model of a zoo name, or of an MMPose configuration (`*.py`), with the weights of `checkpoint`.

    place: (recipe, pointer of the teacher in it), as problems name it. unpickle, note: as in `load_checkpoint`.
    Raises InputError.
    """
    entry = ZOO.get(source)
    path = shipped_configs() / entry.config if entry else Path(source)
    if not entry and not path.is_file():
        hint = f"a path to an MMPose configuration, or one of: {', '.join(ZOO)}"
        raise InputError.single(place[0], f"{place[1]}.source", f"{source} does not exist", hint)
    if not checkpoint.is_file():
        raise _missing(entry, source, checkpoint, place)
    settings = _Settings(read_config(path), path)
    if entry and settings.keypoints != entry.keypoints:
        problem = f"the installed MMPose's keypoints are not those annotext knows {source} by"
        raise InputError.single(path, "", problem, "annotext knows mmpose 1.3.2")
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    known = not entry or _is_known(source, entry, checkpoint, digest)
    module = settings.build()
    weights = weights_of(load_checkpoint(checkpoint, unpickle=unpickle, note=note))
    own = {k: v for k, v in weights.items() if not k.startswith("data_preprocessor.")}
    fill(module, own, checkpoint, source)
    if not known:
        note(f"{checkpoint}: sha256 {digest}; none is published for the present file of {source} to compare it with")
    module.requires_grad_(False)
    module.eval()
    return PoseModel(
        keypoints=settings.keypoints,
        input_wh=settings.input_wh,
        expand=settings.expand,
        split_ratio=settings.split_ratio,
        beta=settings.beta,
        sigma=settings.sigma,
        pixel_offset=entry.pixel_offset if entry else settings.pixel_offset,
        mean=settings.mean,
        std=settings.std,
        rgb=settings.rgb,
        module=module,
        sha256=digest,
        description=f"{source}, {checkpoint.name}",
    )


def _missing(entry: ZooModel | None, source: str, checkpoint: Path, place: tuple[str, str]) -> InputError:
    name = f"{place[1]}.checkpoint"
    if str(checkpoint) in ("", "."):
        problem = f"{source} needs a checkpoint"
    else:
        problem = f"{checkpoint} does not exist"
    how = "give its file there, or --teacher NAME=FILE"
    return InputError.single(place[0], name, problem, f"download {entry.weights}; {how}" if entry else how)


def _is_known(source: str, entry: ZooModel, checkpoint: Path, digest: str) -> bool:
    """Whether the file is, by its sha256, the zoo's. Raises InputError for one that is known to be another's.

    The eight digits in a name are the start of the file's sha256, once. In April 2023 MMPose put smaller files under
    the same names at a new address (open-mmlab/mmpose pull request 2262), the one in use since; of the one whose
    sha256 is public, the name no longer holds. So a file is not refused for differing from its name alone.
    """
    for name, other in ZOO.items():
        if name != source and (other.stamp in checkpoint.name or digest == other.sha256):
            problem = f"is the file of {name}, not of {source}"
            raise InputError.single(checkpoint, "", problem, f"{source} is {entry.weights}")
    if digest.startswith(entry.stamp) or digest == entry.sha256:
        return True
    if entry.sha256:
        raise InputError.single(
            checkpoint,
            "",
            f"is not the file of {source}: sha256 {digest[:16]}..., expected {entry.sha256[:16]}...",
            "download it again; for weights of your own, name MMPose's configuration as the source",
        )
    return False


class _Settings:
    """What a configuration says of a model. Raises InputError for one that is no RTMPose."""

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self._path = path
        model = self._table(config, "model")
        self._backbone = self._table(model, "model.backbone")
        self._head = self._table(model, "model.head")
        preprocessor = self._table(model, "model.data_preprocessor")
        if self._head.get("type") != "RTMCCHead" or "neck" in model:
            built = f"{self._head.get('type')} with a neck" if "neck" in model else self._head.get("type")
            hint = "any other model can teach as an ONNX file with a card"
            raise self._problem("model.head", f"{built} is not read, only RTMPose's RTMCCHead", hint)
        decoder = self._head.get("decoder") or config.get("codec") or {}
        loss = self._head.get("loss", {})
        pipeline = _pipeline(config)
        if any(step.get("use_udp") for step in pipeline):
            hint = "export it to ONNX and write its geometry into a card"
            raise self._problem("val_pipeline", "the crop is cut by UDP's rule, which is not read", hint)
        try:
            self.split_ratio = float(self._head.get("simcc_split_ratio", 2.0))
            self.input_wh = (int(self._head["input_size"][0]), int(self._head["input_size"][1]))
            sigma = decoder.get("sigma", 6.0)
            bins = (float(sigma), float(sigma)) if isinstance(sigma, int | float) else tuple(map(float, sigma))
            self.sigma = (bins[0] / self.split_ratio, bins[1] / self.split_ratio)
            self.beta = float(loss.get("beta", 1.0))
            self.mean = tuple(map(float, preprocessor["mean"]))
            self.std = tuple(map(float, preprocessor["std"]))
            self.rgb = bool(preprocessor.get("bgr_to_rgb", False))
            self.expand = float(_step(pipeline, "GetBBoxCenterScale").get("padding", _PADDING))
            outputs = int(self._head["out_channels"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise self._problem("", f"is no configuration of an RTMPose: {error!r}") from None
        kind, self._metainfo = _training_set(config)
        self.pixel_offset = MPII_OFFSET if kind == "MpiiDataset" else (0.0, 0.0)
        self.keypoints = self._names(kind)
        if len(self.keypoints) != outputs:
            problem = f"{kind} has {len(self.keypoints)} keypoints, the head {outputs}"
            raise self._problem("model.head.out_channels", problem)

    def _problem(self, pointer: str, problem: str, hint: str = "") -> InputError:
        return InputError.single(self._path, pointer, problem, hint)

    def _table(self, parent: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        value = parent.get(pointer.rpartition(".")[2])
        if not isinstance(value, dict):
            raise self._problem(pointer, "is missing", "this must be MMPose's configuration of a top-down RTMPose")
        return value

    def _names(self, kind: str) -> tuple[str, ...]:
        """The keypoints' canonical names, from the description of the data set the model was trained on."""
        described = self._metainfo or _described(kind)
        if not described:
            raise self._problem("dataset_type", f"MMPose has no data set called {kind}")
        candidates = [Path(described), self._path.parent / described, shipped_configs() / described]
        found = next((c for c in candidates if c.is_file()), None)
        if found is None:
            raise self._problem("metainfo.from_file", f"{described} does not exist")
        document = read_config(found)
        try:
            points = document["dataset_info"]["keypoint_info"]
            native = [points[i]["name"] for i in range(len(points))]
        except (KeyError, TypeError):
            raise InputError.single(found, "dataset_info.keypoint_info", "does not list keypoints by number") from None
        known = {k for skeleton in BUILT_IN.values() for k in skeleton.keypoints}
        named = BUILT_IN.get(str(document["dataset_info"].get("dataset_name")))
        synonyms = named.synonyms if named else {}
        names = tuple(synonyms.get(n, n) for n in native)
        unknown = [n for n in names if n not in known]
        if unknown:
            hint = "an ONNX export with a card can give its keypoints other names"
            raise InputError.single(found, "", f"keypoints annotext does not know: {', '.join(unknown)}", hint)
        return names

    def build(self) -> _Network:
        head = {k: v for k, v in self._head.items() if k not in ("decoder", "loss")}
        head = _portable({**head, "loss": {"type": "KLDiscretLoss"}})
        backbone = _portable(self._backbone)
        strangers = sorted({t for t in (*_types(backbone), *_types(head)) if not _is_module(t)})
        if strangers:
            raise self._problem("model", f"MMPose has no module called {', '.join(strangers)}")
        try:
            return _Network(backbone, head, self.mean, self.std, self.rgb)
        except Exception as error:  # whatever MMPose's constructors make of a wrong value
            raise self._problem("model", f"MMPose cannot build it: {error}") from None


def _described(kind: str) -> str:
    """The description file of one of MMPose's data sets, or nothing."""
    import mmpose.datasets  # noqa: F401  (registers them)
    from mmpose.registry import DATASETS

    # Not `get`: see `_is_module`.
    dataset = DATASETS.module_dict.get(kind)
    return getattr(dataset, "METAINFO", {}).get("from_file", "")


def _types(value: Any) -> Iterator[str]:
    """Every `type` a configuration asks MMEngine to build, at any depth."""
    if isinstance(value, dict):
        if "type" in value:
            yield str(value["type"])
        for inner in value.values():
            yield from _types(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _types(inner)


def _is_module(name: str) -> bool:
    """Whether MMPose, or MMEngine and MMCV below it, registered it as a part of a model. MMEngine's own look-up imports
    whatever else it is given, and calls it: `subprocess.run` would be run."""
    for registry in (MODELS, ROOT_MODELS):
        registry.import_from_location()
    return name in MODELS.module_dict or name in ROOT_MODELS.module_dict


def _portable(value: Any) -> Any:
    """Without what is of no use here: where starting weights come from, mmdet's scope (MMPose has a CSPNeXt of its
    own), and SyncBN, which is BN on one device."""
    if isinstance(value, dict):
        kept = {k: _portable(v) for k, v in value.items() if k not in ("init_cfg", "_scope_")}
        if isinstance(kept.get("type"), str):
            kept["type"] = kept["type"].removeprefix("mmdet.").removeprefix("mmpose.")
            kept["type"] = "BN" if kept["type"] == "SyncBN" else kept["type"]
        return kept
    if isinstance(value, list | tuple):
        return type(value)(_portable(v) for v in value)
    return value


def _training_set(config: Mapping[str, Any]) -> tuple[str, str]:
    """(type, description file) of what the model was trained on; a combination has the description it gives itself."""
    dataset = config.get("train_dataloader", {}).get("dataset", {})
    while isinstance(dataset.get("dataset"), dict):  # RepeatDataset
        dataset = dataset["dataset"]
    kind = str(dataset.get("type", config.get("dataset_type", "")))
    described = dataset.get("metainfo", {}).get("from_file", "")
    if kind == "CombinedDataset" and not described:
        kind = str(config.get("dataset_type", ""))
    return kind, described


def _pipeline(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    dataset = config.get("val_dataloader", {}).get("dataset", {})
    found = config.get("val_pipeline") or dataset.get("pipeline") or []
    return [step for step in found if isinstance(step, dict)]


def _step(pipeline: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((step for step in pipeline if step.get("type") == kind), {})
