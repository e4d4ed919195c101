// Keys, and buttons that say them.

function Key({ children }) {
  return h("kbd", null, children);
}

function Action({ model, name, keys, text, run, kind, off }) {
  return h(
    "button",
    { className: "atr-action atr-" + (kind || "plain"), disabled: Boolean(off || outbox.failed), onClick: run, "data-cy": "review-" + name },
    h("span", null, text),
    h(Key, null, keys),
  );
}

function Actions({ model, p }) {
  const open = model.left(p).filter((k) => !p.points[k].outside).length;
  const point = p.points[model.keypoint];
  const none = !point;
  const nothing = none || (point.kind === "none" && !p.mine[model.keypoint]);
  const moved = Boolean(p.mine[model.keypoint] && p.mine[model.keypoint].new);
  const wrong = nothing || (!moved && point.outside); // it cannot be right where it is
  const act = (verdict) => () => model.decide(verdict);
  return h(
    "div",
    { className: "atr-actions" },
    h(Action, { model, name: "accept", keys: "A", text: moved ? "Go on" : "Accept", kind: "good", run: act("accept"), off: wrong }),
    h(Action, { model, name: "reject", keys: "R", text: "Reject", kind: "bad", run: act("reject"), off: nothing || (point && point.kind === "none") }),
    h(Action, { model, name: "hidden", keys: "H", text: "Hidden", run: act("hidden"), off: wrong }),
    h(Action, { model, name: "absent", keys: "X", text: "Absent", run: act("absent"), off: none }),
    h(Action, { model, name: "place", keys: "P", text: point && point.kind === "none" ? "Place it" : "Place", run: () => place(model), off: none }),
    h(Action, { model, name: "note", keys: "N", text: "Note", run: () => openNote(model) }),
    h(Action, { model, name: "accept-all", keys: "⇧A", text: open > 1 ? `Accept all ${open} left` : "Accept all left", kind: "wide", run: () => model.acceptAll(), off: !open }),
    h(Action, { model, name: "undo", keys: "U", text: "Undo", kind: "wide", run: () => model.undo(), off: !model.undoable.length }),
  );
}

function place(model) {
  if (!model.keypoint || model.blocked()) return;
  model.placing = !model.placing;
  model.changed();
}

function openNote(model) {
  if (model.blocked()) return;
  model.overlay = "note";
  model.changed();
}

function keyOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return event.shiftKey && (key === "a" || key === "Tab") ? "shift+" + key : key;
}

function press(model, key) {
  const toggle = (overlay) => {
    model.overlay = model.overlay === overlay ? null : overlay;
    model.changed();
  };
  const actions = {
    a: () => model.decide("accept"),
    r: () => model.decide("reject"),
    h: () => model.decide("hidden"),
    x: () => model.decide("absent"),
    p: () => place(model),
    u: () => model.undo(),
    n: () => openNote(model),
    "shift+a": () => model.acceptAll(),
    Tab: () => model.step(1),
    "shift+Tab": () => model.step(-1),
    ArrowDown: () => model.step(1),
    ArrowRight: () => model.step(1),
    ArrowUp: () => model.step(-1),
    ArrowLeft: () => model.step(-1),
    j: () => model.walk(1),
    PageDown: () => model.walk(1),
    k: () => model.walk(-1),
    PageUp: () => model.walk(-1),
    "?": () => toggle("help"),
    z: () => {
      model.zoom = null;
      model.closeUp = !model.closeUp;
      model.changed();
    },
  };
  if (outbox.failed && key === "Enter") return outbox.retry(), true;
  if (key === "Escape" && (model.overlay || model.placing)) {
    model.overlay = null;
    model.placing = false;
    model.changed();
    return true;
  }
  if (key === "Escape" && model.turn) return model.leave(), true;
  if (!actions[key]) return false;
  if (model.overlay === "help") {
    model.overlay = null;
    if (key === "?") return model.changed(), true;
  }
  actions[key]();
  return true;
}
