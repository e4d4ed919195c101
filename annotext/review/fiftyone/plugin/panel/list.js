// The person: question, picture, and the list of points.

function Swatch({ point, mine }) {
  const moved = mine && mine.new;
  const candidate = point.kind === "candidate" && !moved;
  const colour = moved ? COLOURS.corrected : candidate ? CANDIDATE : COLOURS[point.source] || COLOURS.none;
  const style = point.kind === "none" && !moved ? { border: "2px dotted #888" } : candidate ? { border: `2px solid ${colour}` } : { background: colour };
  return h("span", { className: "atr-swatch", style });
}

function PointRow({ model, p, name }) {
  const point = p.points[name];
  const mine = p.mine[name];
  const others = p.others[name] || [];
  const noted = p.notes.some((n) => n.keypoint === name);
  const sure = point.kind === "none" ? "no estimate" : confidence(point);
  const state = mine && DONE[mine.verdict];
  return h(
    "div",
    {
      className: "atr-point" + (name === model.keypoint ? " atr-on" : "") + (model.isDone(p, name) ? " atr-done" : ""),
      onClick: () => model.choose(name),
      title: [point.reason, point.radius ? `90 % within ${point.radius.toFixed(0)} px` : "", point.source].filter(Boolean).join(" · "),
      "data-cy": "review-point-" + name,
      "data-verdict": mine ? mine.verdict : "",
      "data-asked": p.ask.includes(name) ? "yes" : "no",
    },
    h(Swatch, { point, mine }),
    h("span", { className: "atr-name" }, words(name)),
    p.conflicts.includes(name) && h("span", { title: "reviewers disagree: the point stays as it was", "data-cy": "review-conflict" }, "≠"),
    noted && h("span", { title: "has a note" }, "✎"),
    others.length > 0 &&
      h("span", { className: "atr-others", title: others.map((o) => `${o.reviewer}: ${o.verdict}`).join("\n") }, others.map((o) => `${o.reviewer.slice(0, 8)} ${DONE[o.verdict] ? DONE[o.verdict].mark : ""}`).join(" ")),
    state
      ? h("span", { className: "atr-state", style: { color: legible(state.colour) } }, `${state.mark} ${state.text}`)
      : h("span", { className: "atr-score" }, sure),
    mine &&
      h(
        "button",
        {
          className: "atr-back",
          title: "take back your decision on this point",
          onClick: (e) => {
            e.stopPropagation();
            model.takeBack(name);
          },
        },
        "↶",
      ),
  );
}

function Question({ model, p }) {
  const name = model.keypoint;
  const point = name && p.points[name];
  if (!point) return h("div", { className: "atr-question" }, "Nothing was added to this person.");
  const mine = p.mine[name];
  const facts = [];
  if (point.kind === "none") facts.push("no model has an estimate");
  else {
    if (point.source === "derived") facts.push("computed from labelled points");
    else if (point.source === "corrected") facts.push("placed by a person");
    else facts.push(point.radius ? `${percent(point.score)} sure` : `score ${point.score.toFixed(2)}, not calibrated`, point.source);
    if (point.radius) facts.push(`90 % within ${point.radius.toFixed(0)} px (circle)`);
    if (point.outside) facts.push("outside the image");
    else if (point.kind === "candidate") facts.push("kept back so far");
  }
  const others = (p.others[name] || []).map((o) => `${o.reviewer} says ${o.verdict}`);
  if (p.conflicts.includes(name)) others.push("you disagree: it stays as it was");
  const text =
    point.kind === "none" && !mine
      ? h(React.Fragment, null, "Where is the ", h("b", null, words(name)), "? Press P and click, or X if it is not in the picture.")
      : mine
        ? h(React.Fragment, null, h("b", null, words(name)), ": you decided ", h("b", { style: { color: legible(DONE[mine.verdict].colour) } }, DONE[mine.verdict].text), mine.verdict === "move" ? ". Drag it again, H if it is hidden, A to go on." : ".")
        : h(React.Fragment, null, "Is the ", h("b", null, words(name)), " right?");
  return h("div", { className: "atr-question", "data-cy": "review-question" }, h("div", null, text), h("div", { className: "atr-facts", title: point.reason || "" }, [...facts, ...others].join(" · ")));
}

function Person({ model, p, narrow }) {
  const names = model.listed(p);
  const rest = names.slice(p.ask.length);
  const notes = p.notes.map((n, i) => h("div", { key: i, className: "atr-remark" }, `✎ ${n.reviewer}${n.keypoint ? " on " + words(n.keypoint) : ""}: ${n.note}`));
  return h(
    "div",
    { className: "atr-person" + (narrow ? " atr-narrow" : "") },
    h("div", { className: "atr-stage" }, h(Question, { model, p }), h(Picture, { model, p, key: p.sample + "/" + p.person })),
    h(
      "div",
      { className: "atr-side" },
      h(
        "div",
        { className: "atr-list" },
        p.ask.length > 0 && h("div", { className: "atr-head" }, model.only ? "asked in this view" : "please look at"),
        p.ask.map((k) => h(PointRow, { model, p, name: k, key: k })),
        rest.length > 0 && h("div", { className: "atr-head" }, "not asked"),
        rest.map((k) => h(PointRow, { model, p, name: k, key: k })),
        p.findings.length > 0 && h("div", { className: "atr-head" }, "looks odd"),
        p.findings.map((f) => h("div", { key: f, className: "atr-finding" }, f)),
        notes,
      ),
      h(Actions, { model, p }),
    ),
  );
}
