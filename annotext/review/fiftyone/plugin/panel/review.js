// The panel as FiftyOne mounts it.

function Review(props) {
  const modal = usePanelContext().scope === "modal";
  const model = models[modal ? "modal" : "grid"];
  const expand = state.useSetExpandedSample();
  const shown = useRecoilValueLoadable(state.modalSelector).contents;
  model.turn = modal && ((by) => turn(by, shown, expand));
  model.leave = state.useClearModal();
  const [, draw] = React.useReducer((n) => n + 1, 0);
  const root = React.useRef(null);
  const view = useRecoilValue(state.view);
  const filters = useRecoilValue(state.filters);
  const extended = useRecoilValueLoadable(state.extendedStages).contents;
  const modalOpen = useRecoilValue(state.isModalActive);
  const refreshed = useRecoilValue(state.refresher); // FiftyOne's own operators decided, too
  const sample = useRecoilValueLoadable(state.nullableModalSampleId);
  const current = modal && sample.state === "hasValue" ? sample.contents : null;
  const asked = JSON.stringify(modal ? current : [view, filters, extended]);

  React.useEffect(() => model.subscribe(draw), [model]);
  React.useEffect(() => outbox.seen(), []);
  React.useEffect(() => {
    if (modal && !current) return;
    const same = model.asked === asked;
    if (same && model.refreshed === refreshed && !model.problem) return; // the tab was only hidden
    [model.asked, model.refreshed] = [asked, refreshed];
    model.load(current, same);
  }, [model, asked, refreshed]);
  React.useEffect(() => {
    const listen = (event) => {
      if (!modal && modalOpen) return;
      const target = event.target;
      const typing = target && target.closest && target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]");
      const key = keyOf(event);
      if (typing || !key || model.overlay === "note") return;
      if (press(model, key)) {
        event.preventDefault();
        event.stopImmediatePropagation(); // FiftyOne has keys of its own
      }
    };
    window.addEventListener("keydown", listen, true);
    return () => window.removeEventListener("keydown", listen, true);
  }, [model, modal, modalOpen]);

  const width = (props.dimensions && props.dimensions.bounds && props.dimensions.bounds.width) || 800;
  const p = model.person();
  let body;
  if (model.problem) body = h("div", { className: "atr-empty" }, h("b", null, "This cannot be reviewed."), h("p", null, model.problem), h("button", { onClick: () => model.load(model.sample) }, "Try again"));
  else if (model.loading) body = h("div", { className: "atr-empty" }, "Loading…");
  else if (!model.rows.length) body = h("div", { className: "atr-empty" }, h("b", null, "Nobody is in this view."), h("p", null, "Choose another view at the top left, such as “worst first”, or take filters away."));
  else if (!p) body = h("div", { className: "atr-empty" }, model.row() && model.row().gone ? "This person is gone: the dataset was built anew. Press ⟳." : "Loading…");
  else body = h(Person, { model, p, narrow: width < 480 });
  return h(
    "div",
    { className: "atr", ref: root, "data-cy": "review-panel" },
    h(Progress, { model }),
    h(Bar, { model, modal }),
    outbox.failed && h(Failure, { model }),
    body,
    h("div", { className: "atr-message", role: "status", "data-cy": "review-message" }, model.message || hint(model, p)),
    model.overlay === "help" && h(Help, { model }),
    model.overlay === "note" && p && h(Note, { model, p }),
  );
}

/** Show another image in FiftyOne's modal; false where there is none. */
function turn(by, shown, expand) {
  const navigation = state.modalNavigation.get();
  if (!navigation || !shown || !(by > 0 ? shown.hasNext : shown.hasPrevious)) return false;
  (by > 0 ? navigation.next(1) : navigation.previous(1)).then(expand);
  return true;
}

function hint(model, p) {
  if (!p || !model.rows.length) return "";
  if (model.all && !model.everybody && !model.sample && !model.rows.some((r) => r.left > 0)) {
    return "Nothing is left to decide in this view: you see everybody in it.";
  }
  return "A right · R wrong · drag it to its place · H hidden · X absent · U undo · ? all keys";
}

plugins.registerComponent({
  name: NAME,
  label: "Review",
  component: Review,
  type: plugins.PluginComponentType.Panel,
  activator: () => true,
  panelOptions: { surfaces: "grid modal", priority: 1000, category: "curate" },
});
