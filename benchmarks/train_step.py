"""A training step against its own floors and against MMPose's step on the same network, as ratios of one run.

    python benchmarks/train_step.py [--model rtmpose-t] [--input 192x256] [--batch 32] [--amp none|bf16]
                                    [--device auto|cpu|cuda] [--steps N] [--teachers none|paper|TEACHER,...]
                                    [--people DIR] [--no-mmpose] [--threads N] [--profile] [--json]

Floors, on batches that lie ready and normalised on the device:
  student    forward, the cheapest loss there is, backward, AdamW; the same network, AMP and memory layout
  teachers   forward of every teacher, without gradients
MMPose: its shipped config of the same size, with its own TopdownPoseEstimator, KLDiscretLoss, accuracy and
OptimWrapper, fp32, no channels_last, in a process of its own (annotext's settings of denormals and allocator are a
process's). Changed, because a package is not there or there is one device: CSPNeXt is MMPose's own instead of mmdet's,
BN instead of SyncBN, no pretrained weights, YOLOXHSVRandomAug is MMPose's own; and its pipeline goes without
Albumentation (blur, erased patch), which makes it faster.

Variants take turns (forwards, then backwards), two steps at a time; a ratio is the median over the rounds of the ratio
within one round, with its quartiles, so that a slow minute of the machine hits both sides. Weights are random and stay
so (a learning rate near zero); people are `annotext synth`'s. On a busy machine only --threads 1 says anything.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PAPER_TEACHERS = "rtmpose-m-coco-256x192,rtmpose-m-mpii-256x256"
# Distinct batches, so that no cache is flattered.
BATCHES = 3
STEPS_AT_A_TIME = 2
# Weights that explode into NaN, or teachers' targets that are met, would be other steps than those of training.
LEARNING_RATE = 1e-9
PROFILED_STEPS = 4
PEOPLE_PER_SET = 48

Step = Callable[..., Any]


@dataclass(frozen=True)
class Plan:
    """What is measured; picklable, for the processes. teachers: MMPose zoo names, or MODEL:WxH:SKELETON for one of
    annotext's own. people: a folder of `annotext synth`."""

    model: str
    input_wh: tuple[int, int]
    batch: int
    amp: str
    device: str
    teachers: tuple[str, ...]
    people: Path
    threads: int


# annotext's side


def recipe_of(plan: Plan, skeletons: Sequence[str]) -> Any:
    """The shipped recipe of the model, with the plan's input, batch and precision, on these data sets."""
    from annotext.formats.files.recipe import find_recipe, read_recipe

    shipped = {"nano": "demo", "rtmpose-t": "paper/rtmpose-t-union"}.get(plan.model, "paper/rtmpose-s-union")
    recipe = read_recipe(find_recipe(shipped))
    sets = {"coco17": "coco", "mpii16": "mpii"}
    data = tuple(
        replace(
            recipe.data[0], name=sets[s], skeleton=s, root=str(plan.people / sets[s]), annotations="annotations.json",
            images="images", share=1.0,
        )
        for s in skeletons
    )  # fmt: skip
    return replace(
        recipe,
        student=replace(recipe.student, model=plan.model, input=plan.input_wh, init=""),
        data=data,
        validation=(),
        schedule=replace(recipe.schedule, batch=plan.batch, keep="last"),
        runtime=replace(recipe.runtime, amp=plan.amp, workers=0),
    )


class Annotext:
    """A student with its optimiser, and batches for it."""

    def __init__(self, plan: Plan, skeletons: Sequence[str], *, taught: bool) -> None:
        import torch

        from annotext.training.data.samples import MixedBatches, PersonCrops, batch_counts, collate
        from annotext.training.data.sets import read_sets
        from annotext.training.run.prepare import build_student
        from annotext.training.run.step import Objective, Optimiser

        recipe = recipe_of(plan, skeletons)
        self.device, self.recipe = torch.device(plan.device), recipe
        data = read_sets(recipe, {}, "benchmark")
        self.student = build_student(recipe, len(data.skeleton), "benchmark").to(self.device).train()
        self.objective = Objective(self.student)
        self.optimiser = Optimiser(self.student, recipe.optim)
        self.teachers = [teacher_of(plan, i, self.device) for i in range(len(plan.teachers))] if taught else []
        rules = self._teach(data.skeleton) if taught else ()
        self.crops = PersonCrops(
            data.sets, plan.input_wh, expand=recipe.student.expand, augment=recipe.augment, seed=0, others=rules
        )
        counts = batch_counts([s.share for s in data.sets], plan.batch)
        self.draws = MixedBatches([len(s.poses) for s in data.sets], counts, 10**9, 0)
        self.host = [collate([self.crops[d] for d in self.draws.batch(i)]) for i in range(BATCHES)]
        if self.device.type == "cuda":
            self.host = [{k: v.pin_memory() for k, v in b.items()} for b in self.host]
        self.on_device = [{k: v.to(self.device) for k, v in b.items()} for b in self.host]
        self.collate = collate

    def _teach(self, skeleton: Any) -> Any:
        from annotext.formats.files.recipe import DistilRecipe, TeacherRecipe
        from annotext.training.data.augment import CropRule
        from annotext.training.teachers.distil import Distillation

        self.objective.distillation = Distillation(
            [teacher for teacher, *_ in self.teachers],
            [TeacherRecipe(name=teacher.name, source="-", weight=0.5) for teacher, *_ in self.teachers],
            DistilRecipe(),
            criterion=self.student.criterion,
            skeleton=skeleton,
            student=CropRule(self.recipe.student.input, self.recipe.student.expand),
            device=self.device,
        )
        return self.objective.distillation.rules

    def train_step(self, batch: dict[str, Any]) -> None:
        from annotext.training.run.step import train_step

        train_step(self.objective, self.optimiser, {k: v.to(self.device) for k, v in batch.items()}, LEARNING_RATE)

    def step(self, *, host: bool = False) -> Step:
        """The step that `annotext train` makes, on a batch that is ready; host: it lies in main memory."""
        batches = cycle(self.host if host else self.on_device)
        return lambda: self.train_step(next(batches))

    def with_data(self) -> Step:
        """The step and the crops for it, made between the steps in this process."""
        numbers = iter(range(10**9))

        def step() -> None:
            batch = self.collate([self.crops[d] for d in self.draws.batch(next(numbers))])
            self.train_step(batch)

        return step

    def floor(self) -> Step:
        """Forward, backward and optimiser on ready input."""
        import torch

        with torch.no_grad():
            ready = cycle([self.student.normalise(b["image"]) for b in self.on_device])

        def step() -> None:
            x, y = self.student.simcc(next(ready))
            self.optimiser.step(x.square().mean() + y.square().mean(), LEARNING_RATE)

        return step

    def teachers_floor(self) -> Step:
        """Every teacher's forward on ready input."""
        import torch

        ready = []
        for (_, normalise, network), binding in zip(self.teachers, self.objective.distillation.bindings, strict=True):
            key = f"image_{binding.view}" if binding.view else "image"
            ready.append((network, cycle([normalise(b[key]) for b in self.on_device])))

        @torch.no_grad()
        def step() -> None:
            for network, inputs in ready:
                network(next(inputs))

        return step


def teacher_of(plan: Plan, index: int, device: Any) -> tuple[Any, Step, Step]:
    """A frozen teacher with random weights; how it makes its input of crops; and its network on that input."""
    return (own_teacher if ":" in plan.teachers[index] else zoo_teacher)(plan, index, device)


def own_teacher(plan: Plan, index: int, device: Any) -> Any:
    """A student of annotext's as a teacher, as a run is."""
    from annotext.formats.files.skeletons import known_skeletons
    from annotext.training.data.augment import CropRule
    from annotext.training.teachers.teacher import Teacher

    model, wh, skeleton = plan.teachers[index].split(":")
    recipe = recipe_of(replace(plan, model=model, input_wh=size(wh)), [skeleton])
    keypoints = known_skeletons()[skeleton].keypoints
    network = frozen_student(recipe, len(keypoints), device)
    beta = recipe.loss.beta

    def see(image: Any) -> tuple[Any, Any]:
        x, y = network.simcc(network.normalise(image), amp=True)
        return beta * x, beta * y

    teacher = Teacher(
        name=f"teacher{index}",
        keypoints=keypoints,
        crop=CropRule(recipe.student.input, recipe.student.expand),
        step=1 / recipe.split_ratio,
        offset=0.0,
        sigma=recipe.loss.sigma,
        pixel_offset=(0.0, 0.0),
        network=see,
        identity={},
    )
    return teacher, network.normalise, lambda ready: network.simcc(ready, amp=True)


def frozen_student(recipe: Any, keypoints: int, device: Any) -> Any:
    from annotext.training.model.config import model_config
    from annotext.training.model.student import Student

    network = Student(**model_config(recipe, keypoints))
    network.init_weights()
    return network.to(device).eval().requires_grad_(False)


def zoo_teacher(plan: Plan, index: int, device: Any) -> Any:
    """A model of MMPose's zoo, loaded as a recipe's teacher is, from a checkpoint of random weights."""
    import torch

    from annotext.core.skeletons import UNION21
    from annotext.formats.files.recipe import DistilRecipe, TeacherRecipe
    from annotext.training.teachers.mmpose_config import shipped_configs
    from annotext.training.teachers.teacher import load_teachers
    from annotext.training.teachers.zoo import ZOO

    entry = ZOO[plan.teachers[index]]
    config = shipped_configs() / entry.config
    # annotext's RTMPose has MMPose's names. As a configuration, not by the zoo's name, which asks for the zoo's file.
    wh = (256, 256) if "256x256" in entry.config else (192, 256)
    own = recipe_of(replace(plan, model=plan.teachers[index][:9], input_wh=wh), ["coco17"])
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "random.pth"
        torch.save({"state_dict": frozen_student(own, len(entry.keypoints), "cpu").state_dict()}, checkpoint)
        asked = TeacherRecipe(name=f"teacher{index}", source=str(config), checkpoint=str(checkpoint))
        recipe = replace(own, teacher=(asked,), distil=DistilRecipe())
        (teacher,) = load_teachers(recipe, "benchmark", skeleton=UNION21, device=device)
    model = teacher.network.__self__  # type: ignore[attr-defined]  # zoo.PoseModel.log_potentials
    return teacher, model.normalise, model.module


def annotext_steps(plan: Plan) -> dict[str, Step]:
    """What runs in annotext's process."""
    from annotext.training.run.process import keep_freed_memory

    if plan.device == "cpu":
        keep_freed_memory()
    union = Annotext(plan, ("coco17", "mpii16"), taught=False)
    steps = {"plain": union.step(), "floor": union.floor()}
    if plan.teachers:
        taught = Annotext(plan, ("coco17", "mpii16"), taught=True)
        steps |= {"taught": taught.step(), "teachers": taught.teachers_floor()}
    return steps


def annotext_rival_steps(plan: Plan) -> dict[str, Step]:
    """annotext on COCO's 17 keypoints alone, as MMPose's config has it."""
    from annotext.training.run.process import keep_freed_memory

    if plan.device == "cpu":
        keep_freed_memory()
    one = Annotext(plan, ("coco17",), taught=False)
    return {"step": one.step(host=True), "with data": one.with_data()}


# MMPose's side


def mmpose_steps(plan: Plan) -> dict[str, Step]:
    """MMPose's own step and pipeline, from its shipped config."""
    from annotext.training.model import bridge

    bridge.install()

    import mmpose
    import torch
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import init_default_scope
    from mmpose.datasets.datasets import CocoDataset
    from mmpose.registry import MODELS

    size = plan.model.removeprefix("rtmpose-")
    folder = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/rtmpose/coco"
    config: Any = Config.fromfile(folder / f"rtmpose-{size}_8xb256-420e_coco-256x192.py")
    init_default_scope("mmpose")
    backbone = config.model.backbone
    del backbone["_scope_"], backbone["init_cfg"]
    backbone.norm_cfg = {"type": "BN"}
    config.codec.input_size = config.model.head.input_size = plan.input_wh
    config.model.head.decoder = config.codec
    config.model.head.in_featuremap_size = tuple(side // 32 for side in plan.input_wh)
    model = MODELS.build(config.model)
    model.init_weights()
    model.to(plan.device).train()
    config.optim_wrapper.optimizer.lr = LEARNING_RATE
    optimiser: Any = build_optim_wrapper(model, config.optim_wrapper)

    pipeline = [dict(step) for step in config.train_pipeline if step["type"] != "Albumentation"]
    for step in pipeline:
        step["type"] = step["type"].removeprefix("mmdet.")
        if "input_size" in step:
            step["input_size"] = plan.input_wh
        if "encoder" in step:
            step["encoder"] = config.codec
    people = CocoDataset(
        ann_file=str(plan.people / "coco/annotations.json"),
        data_prefix={"img": str(plan.people / "coco/images/")},
        pipeline=pipeline,
    )
    order = cycle(torch.randperm(len(people), generator=torch.Generator().manual_seed(0)).tolist())

    def batch() -> Any:
        return pseudo_collate([people[next(order)] for _ in range(plan.batch)])

    ready = cycle([batch() for _ in range(BATCHES)])
    return {
        "step": lambda: model.train_step(next(ready), optim_wrapper=optimiser),
        "with data": lambda: model.train_step(batch(), optim_wrapper=optimiser),
    }


# Turns


def serve(build: Callable[[Plan], dict[str, Step]], plan: Plan, pipe: Connection, flush: bool) -> None:
    """A process with steps: answers (name, times) with the seconds each took."""
    os.dup2(2, 1)  # stdout is for the result
    logging.disable(logging.INFO)
    try:
        import torch

        if flush:
            torch.set_flush_denormal(True)
        if plan.threads:
            torch.set_num_threads(plan.threads)
        steps = build(plan)
        pipe.send(list(steps))
        while True:
            asked = pipe.recv()
            if asked is None:
                return
            pipe.send(timed(steps[asked], STEPS_AT_A_TIME, plan.device))
    except Exception:
        pipe.send(traceback.format_exc())


def timed(step: Step, times: int, device: str) -> float:
    """Seconds per step."""
    import torch

    synchronise = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronise()
    started = time.perf_counter()
    for _ in range(times):
        step()
    synchronise()
    return (time.perf_counter() - started) / times


class Side:
    """A process of steps, asked one at a time; the others wait meanwhile."""

    def __init__(self, name: str, build: Callable[[Plan], dict[str, Step]], plan: Plan, *, flush: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(build, plan, theirs, flush), daemon=True)
        self.process.start()
        self.steps = self._answer()

    def seconds(self, step: str) -> float:
        self.pipe.send(step)
        return self._answer()

    def _answer(self) -> Any:
        answer = self.pipe.recv()
        if isinstance(answer, str):
            sys.exit(f"{self.name}:\n{answer}")
        return answer

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join()


def turns(sides: Sequence[Side], rounds: int) -> Iterator[dict[str, float]]:
    """Per round the seconds of every step; the first two rounds warm up and are not counted."""
    order = [(side, step) for side in sides for step in side.steps]
    for i in range(rounds + 2):
        seconds = {f"{side.name}: {step}": side.seconds(step) for side, step in (order if i % 2 else order[::-1])}
        if i > 1:
            yield seconds


def ratio(rounds: Sequence[dict[str, float]], over: Sequence[str], under: Sequence[str]) -> dict[str, float]:
    """Median and quartiles over the rounds of sum(over) / sum(under)."""
    each = [sum(r[k] for k in over) / sum(r[k] for k in under) for r in rounds]
    low, middle, high = statistics.quantiles(each, n=4) if len(each) > 1 else (each[0],) * 3
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def profile(plan: Plan) -> None:
    """torch.profiler's top operators of the step with teachers, or of the plain one."""
    import torch
    from torch.profiler import ProfilerActivity

    torch.set_flush_denormal(True)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    steps = annotext_steps(plan)
    step = steps.get("taught", steps["plain"])
    step()
    cuda = plan.device == "cuda"
    with torch.profiler.profile(
        activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])], record_shapes=False
    ) as found:
        for _ in range(PROFILED_STEPS):
            step()
        if cuda:
            torch.cuda.synchronize()
    print(found.key_averages().table(sort_by=f"self_{'cuda' if cuda else 'cpu'}_time_total", row_limit=25))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="rtmpose-t", choices=("nano", "rtmpose-t", "rtmpose-s", "rtmpose-m"))
    parser.add_argument("--input", default="", help="WxH; default 96x128 for nano, else 192x256")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--amp", choices=("none", "bf16"), default="none", help="annotext's; MMPose stays at fp32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, default=16, help="counted per variant")
    parser.add_argument(
        "--teachers", default="paper", help="none, paper, or zoo names and MODEL:WxH:SKELETON, with commas"
    )
    parser.add_argument("--people", type=Path, help="a folder of annotext synth; default: a few people, made anew")
    parser.add_argument("--no-mmpose", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="of torch; default: its own choice")
    parser.add_argument("--profile", action="store_true", help="print the step's operators instead")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def size(text: str) -> tuple[int, int]:
    """WxH."""
    w, h = text.split("x")
    return int(w), int(h)


def plan_of(given: argparse.Namespace, people: Path) -> Plan:
    import torch

    wanted = {"none": "", "paper": PAPER_TEACHERS}.get(given.teachers, given.teachers)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if given.device == "auto" else given.device
    return Plan(
        model=given.model,
        input_wh=size(given.input or ("96x128" if given.model == "nano" else "192x256")),
        batch=given.batch,
        amp=given.amp,
        device=device,
        teachers=tuple(t for t in wanted.split(",") if t),
        people=people,
        threads=given.threads,
    )


def measure(plan: Plan, rounds: int, *, mmpose: bool) -> dict[str, Any]:
    """Seconds and ratios."""
    import torch

    sides = [Side("annotext", annotext_steps, plan, flush=True)]
    found = list(turns(sides, rounds))
    ratios = {"plain step / floor": ratio(found, ["annotext: plain"], ["annotext: floor"])}
    if plan.teachers:
        floors = ["annotext: floor", "annotext: teachers"]
        ratios["step with teachers / sum of floors"] = ratio(found, ["annotext: taught"], floors)
    seconds = {k: statistics.median(r[k] for r in found) for k in found[0]}
    sides[0].close()
    if mmpose:
        sides = [
            Side("annotext, 17 points", annotext_rival_steps, plan, flush=True),
            Side("MMPose", mmpose_steps, plan, flush=False),
        ]
        found = list(turns(sides, rounds))
        for what in ("step", "with data"):
            ratios[f"MMPose's / annotext's, {what}"] = ratio(
                found, [f"MMPose: {what}"], [f"annotext, 17 points: {what}"]
            )
        seconds |= {k: statistics.median(r[k] for r in found) for k in found[0]}
        for side in sides:
            side.close()
    return {
        "model": plan.model,
        "input": list(plan.input_wh),
        "batch": plan.batch,
        "amp": plan.amp,
        "device": torch.cuda.get_device_name() if plan.device == "cuda" else "cpu",
        "threads": plan.threads or torch.get_num_threads(),
        "torch": torch.__version__,
        "teachers": list(plan.teachers),
        "steps": rounds * STEPS_AT_A_TIME,
        "seconds": {k: round(v, 5) for k, v in seconds.items()},
        "ratios": ratios,
    }


def main() -> None:
    given = arguments()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        people = given.people
        if people is None:
            from annotext.workflows.synth import synthesise

            people = Path(folder) / "people"
            synthesise(people, PEOPLE_PER_SET, 0, sets=("coco", "mpii"))
        plan = plan_of(given, people)
        if given.profile:
            profile(plan)
            return
        rounds = max(1, given.steps // STEPS_AT_A_TIME)
        report = measure(plan, rounds, mmpose=not given.no_mmpose and plan.model != "nano")
    if given.json:
        print(json.dumps(report, indent=2))
        return
    w, h = plan.input_wh
    print(f"{plan.model} {w}x{h}, batch {plan.batch}, amp {plan.amp}, {report['device']}, {report['threads']} threads")
    for name, seconds in report["seconds"].items():
        print(f"  {name:<36}{seconds * 1e3:10.1f} ms {plan.batch / seconds:10.1f} people/s")
    for name, value in report["ratios"].items():
        print(f"  {name:<46}x{value['median']:.2f}  (quartiles {value['low']:.2f}-{value['high']:.2f})")


if __name__ == "__main__":
    main()
