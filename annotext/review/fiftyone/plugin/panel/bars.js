// Above the picture: how far the review is, whom one is at, what was not saved.

function Progress({ model }) {
  const g = model.progress;
  if (!g) return null;
  const total = g.decided + g.left;
  const unsaved = outbox.count();
  const parts = [`${g.decided} decided`, `${g.left} left`];
  if (g.per_minute) parts.push(`${g.per_minute.toFixed(g.per_minute < 10 ? 1 : 0)} a minute`);
  if (g.minutes_left !== null && g.left) parts.push("about " + duration(g.minutes_left));
  return h(
    "div",
    { className: "atr-progress", title: "Points of the whole dataset, by all reviewers; your own rate.", "data-cy": "review-progress" },
    h("div", { className: "atr-bar" }, h("div", { style: { width: `${total ? (100 * g.decided) / total : 0}%` } })),
    h("span", null, parts.join(" · ")),
    h("span", { className: "atr-saved" }, outbox.failed ? "not saved" : unsaved ? "saving…" : g.mine ? "all saved" : ""),
  );
}

function duration(minutes) {
  if (minutes < 1) return "1 min";
  if (minutes < 90) return Math.round(minutes) + " min";
  return (minutes / 60).toFixed(1) + " h";
}

function Failure({ model }) {
  const n = outbox.count();
  return h(
    "div",
    { className: "atr-failure", role: "alert", key: model.shake, "data-cy": "review-failure" },
    h("b", null, `NOT SAVED: ${n} decision${n === 1 ? "" : "s"}.`),
    h("span", null, outbox.failed),
    h("span", null, "No further decision is taken until they are."),
    h("button", { onClick: () => outbox.retry(), "data-cy": "review-retry" }, "Try again ", h(Key, null, "Enter")),
    h("button", { onClick: () => model.giveUp(), "data-cy": "review-give-up" }, "Give them up"),
  );
}

function Bar({ model, modal }) {
  const row = model.row();
  const p = model.person();
  const where = row ? `Person ${model.at + 1} of ${model.rows.length}` : "";
  const open = model.rows.filter((r) => r.left > 0).length;
  return h(
    "div",
    { className: "atr-top" },
    h("button", { onClick: () => model.walk(-1), disabled: !modal && model.at <= 0, title: "the person before", "data-cy": "review-previous" }, "◀ ", h(Key, null, "K")),
    h("button", { onClick: () => model.walk(1), disabled: !modal && model.at + 1 >= model.rows.length, title: "next person", "data-cy": "review-next" }, h(Key, null, "J"), " ▶"),
    h("span", { className: "atr-where", "data-cy": "review-where" }, where, p && h("span", { className: "atr-dim" }, ` · ${open} with points left · ${p.file} · id ${p.person}`)),
    h("span", { className: "atr-grow" }),
    !modal &&
      h(
        "label",
        { title: "People of the view with nothing left, and points others have decided on, too" },
        h("input", {
          type: "checkbox",
          checked: model.everybody,
          "data-cy": "review-everybody",
          onChange: () => {
            model.everybody = !model.everybody;
            model.load(model.sample, true);
          },
        }),
        " everybody",
      ),
    h("button", { onClick: () => model.load(model.sample, true), title: "Load the view again: leaves out what is decided", "data-cy": "review-reload" }, "⟳"),
    h(
      "button",
      {
        onClick: () => {
          model.overlay = model.overlay === "help" ? null : "help";
          model.changed();
        },
        title: "all keys",
        "data-cy": "review-help-button",
      },
      "Keys ",
      h(Key, null, "?"),
    ),
  );
}
