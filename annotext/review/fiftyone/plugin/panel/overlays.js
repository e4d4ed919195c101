// What opens over the panel: help, and a note.

function Note({ model, p }) {
  const [text, setText] = React.useState("");
  const [on, setOn] = React.useState(model.keypoint || "");
  const input = React.useRef(null);
  React.useEffect(() => input.current && input.current.focus(), []);
  const close = () => {
    model.overlay = null;
    model.changed();
  };
  const choice = (value, label) =>
    h("label", null, h("input", { type: "radio", checked: on === value, onChange: () => setOn(value) }), " ", label);
  return h(
    "form",
    {
      className: "atr-note",
      onSubmit: (e) => {
        e.preventDefault();
        model.note(text, on);
      },
    },
    h("div", null, "A note on ", model.keypoint && choice(model.keypoint, words(model.keypoint)), " ", choice("", "the person")),
    h("input", {
      ref: input,
      value: text,
      placeholder: "What should others know?",
      "data-cy": "review-note-text",
      onChange: (e) => setText(e.target.value),
      onKeyDown: (e) => {
        e.stopPropagation();
        if (e.key === "Escape") close();
      },
    }),
    h("div", null, h("button", { type: "submit" }, "Save ", h(Key, null, "Enter")), " ", h("button", { type: "button", onClick: close }, "Cancel ", h(Key, null, "Esc"))),
  );
}

function Help({ model }) {
  const close = () => {
    model.overlay = null;
    model.changed();
  };
  const legend = [
    [HUMAN, false, "labelled by a person: never changes"],
    [COLOURS.student, false, "added by the student"],
    [COLOURS.teacher, false, "added by another model"],
    [COLOURS.derived, false, "computed from labelled points"],
    [CANDIDATE, true, "kept back: becomes a label only if you accept it"],
    [COLOURS.corrected, false, "moved by you"],
  ];
  return h(
    "div",
    { className: "atr-help", onClick: close, "data-cy": "review-help" },
    h(
      "div",
      { className: "atr-card" },
      h("h3", null, "Is the ringed point where it says it is?"),
      h("table", null, h("tbody", null, KEYS.map(([k, text]) => h("tr", { key: k }, h("td", null, h(Key, null, k)), h("td", null, text))))),
      h("div", { className: "atr-legend" }, legend.map(([colour, hollow, text]) => h("div", { key: text }, h("span", { className: "atr-swatch", style: hollow ? { border: `2px solid ${colour}` } : { background: colour } }), text))),
      h("p", null, "Every decision is saved at once. The dashed circle: with 90 % probability the true point is inside. Press ? or click to close."),
    ),
  );
}
