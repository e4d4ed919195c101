"""FiftyOne's plugin: operators that hand over to `annotext.review.fiftyone.service`.

Loaded by FiftyOne, never by annotext.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import fiftyone.operators as foo
from fiftyone.operators import types

from annotext.core.errors import AnnotextError
from annotext.review.decisions.correction import Verdict
from annotext.review.fiftyone.service import ReviewService, review_service


class _ForPanel(foo.Operator):
    """What the panel calls: answers {"ok": ...} or {"problem": text}, never with a traceback."""

    called = ""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name=self.called, label=f"Review: {self.called}", unlisted=True)

    def execute(self, ctx: Any) -> dict[str, Any]:
        try:
            return {"ok": self.answer(review_service(ctx.dataset), ctx)}
        except AnnotextError as error:
            return {"problem": str(error)}

    def answer(self, service: ReviewService, ctx: Any) -> Any:
        raise NotImplementedError


class Queue(_ForPanel):
    called = "queue"

    def answer(self, service: ReviewService, ctx: Any) -> Any:
        sample = ctx.params.get("sample")
        everybody = bool(ctx.params.get("everybody"))
        return service.queue(ctx.view, sample, everybody=everybody)


class People(_ForPanel):
    called = "people"

    def answer(self, service: ReviewService, ctx: Any) -> Any:
        wanted = [(str(sample), int(person)) for sample, person in ctx.params["people"]]
        return service.people(wanted, ctx.params.get("view"))


class Decide(_ForPanel):
    called = "decide"

    def answer(self, service: ReviewService, ctx: Any) -> Any:
        return service.decide(ctx.params["decisions"])


class _OfSelection(foo.Operator):
    """What FiftyOne's own selection is good for: whole samples, or labels of single people."""

    called, title = "", ""
    verdict: Verdict

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name=self.called, label=f"annotext: {self.title}", dynamic=True)

    def resolve_input(self, ctx: Any) -> types.Property:
        form = types.Object()
        service = _service_or_warning(ctx, form)
        if service is not None:
            self.ask(service, ctx, form)
        return types.Property(form, view=types.View(label=self.title.capitalize()))

    def ask(self, service: ReviewService, ctx: Any, form: types.Object) -> None:
        people = service.selected(ctx.selected_labels, ctx.selected)
        if not people:
            _stop(form, "Select samples in the grid, or people in an image, first.")
            return
        points = service.left_of(people)
        form.md(f"{len(points)} points left of {len(people)} people will be recorded as **{self.verdict}**.")
        if not points:
            _stop(form, "Nothing is left to decide there.")

    def execute(self, ctx: Any) -> None:
        service = review_service(ctx.dataset)
        points = service.left_of(service.selected(ctx.selected_labels, ctx.selected))
        service.decide([{**p, "id": uuid4().hex, "verdict": str(self.verdict)} for p in points])
        _done(ctx, f"{len(points)} points: {self.verdict}")


class AcceptSelected(_OfSelection):
    called, title = "accept_selected", "accept the points left of what is selected"
    verdict = Verdict.ACCEPT


class RejectSelected(_OfSelection):
    called, title = "reject_selected", "reject the points left of what is selected"
    verdict = Verdict.REJECT


class NoteSelected(_OfSelection):
    called, title = "note_selected", "leave a note on the people selected"
    verdict = Verdict.NOTE

    def ask(self, service: ReviewService, ctx: Any, form: types.Object) -> None:
        people = service.selected(ctx.selected_labels, ctx.selected)
        if not people:
            _stop(form, "Select samples in the grid, or people in an image, first.")
            return
        form.str("note", label=f"Note on {len(people)} people", required=True)

    def execute(self, ctx: Any) -> None:
        service = review_service(ctx.dataset)
        people = service.selected(ctx.selected_labels, ctx.selected)
        note = {"keypoint": "", "verdict": str(Verdict.NOTE), "note": ctx.params["note"]}
        service.decide([{**note, "id": uuid4().hex, "sample": sample, "person": person} for sample, person in people])
        _done(ctx, f"a note on {len(people)} people")


def _service_or_warning(ctx: Any, form: types.Object) -> ReviewService | None:
    try:
        return review_service(ctx.dataset)
    except AnnotextError as error:
        _stop(form, str(error))
        return None


def _stop(form: types.Object, why: str) -> None:
    """Say why it cannot be done; an invalid field keeps FiftyOne from doing it."""
    form.view("why", types.Warning(label=why)).invalid = True


def _done(ctx: Any, what: str) -> None:
    ctx.ops.notify(f"Recorded: {what}", variant="success")
    ctx.ops.reload_samples()


def register(plugin: Any) -> None:
    """FiftyOne calls this with the context to register operators with."""
    for operator in (Queue, People, Decide, AcceptSelected, RejectSelected, NoteSelected):
        plugin.register(operator)
