// How a point looks in the picture: its mark, its name, and the loupe.

const LOUPE = 190; // px, its side
const LOUPE_ZOOM = 2.5;

/** The current point larger, in the corner farthest from it: small people need it, and a hand that drags. */
function Loupe({ p, name, at, port, size, where }) {
  const scale = Math.max(port.scale * LOUPE_ZOOM, 4);
  if (port.scale > 14 || size.w < 2.2 * LOUPE || size.h < 2 * LOUPE) return null;
  const x = (at.x - port.x) * port.scale + size.w / 2;
  const y = (at.y - port.y) * port.scale + size.h / 2;
  const toLoupe = (q) => [(q.x - at.x) * scale + LOUPE / 2, (q.y - at.y) * scale + LOUPE / 2];
  const [ix, iy] = toLoupe({ x: -0.5, y: -0.5 });
  const point = p.points[name];
  const shapes = [h("image", { key: "image", href: source(p), x: ix, y: iy, width: p.width * scale, height: p.height * scale, preserveAspectRatio: "none" })];
  for (const other of Object.keys(p.points)) {
    const there = other === name ? null : where(other);
    if (!there) continue;
    const [cx, cy] = toLoupe(there);
    shapes.push(h("circle", { key: other, cx, cy, r: 4, fill: "none", strokeWidth: 2, stroke: p.points[other].kind === "human" ? HUMAN : CANDIDATE, opacity: 0.8 }));
  }
  const c = LOUPE / 2;
  if (point.radius && !(p.mine[name] && p.mine[name].new)) shapes.push(h("circle", { key: "within", className: "atr-within", cx: c, cy: c, r: point.radius * scale }));
  shapes.push(h("path", { key: "under", className: "atr-aim atr-aim-under", d: AIM(c) }));
  shapes.push(h("path", { key: "aim", className: "atr-aim", d: AIM(c) }));
  const style = { width: LOUPE, height: LOUPE, [x < size.w / 2 ? "right" : "left"]: 8, [y < size.h / 2 ? "bottom" : "top"]: 8 };
  return h("svg", { className: "atr-loupe", style }, shapes);
}

const AIM = (c) => `M${c - 16} ${c}H${c - 4}M${c + 4} ${c}H${c + 16}M${c} ${c - 16}V${c - 4}M${c} ${c + 4}V${c + 16}`;

function Dot({ p, name, at, port, current, model, down, setOver, moving, from }) {
  const point = p.points[name];
  const [x, y] = at;
  const human = point.kind === "human";
  const mine = p.mine[name];
  const colour = human ? HUMAN : mine && mine.new ? COLOURS.corrected : point.kind === "candidate" ? CANDIDATE : COLOURS[point.source] || COLOURS.none;
  const parts = [];
  if (current && point.radius && !moving && !(mine && mine.new)) {
    parts.push(h("circle", { key: "within", className: "atr-within", cx: x, cy: y, r: Math.max(1, point.radius * port.scale) }));
  }
  if (!human && mine && mine.new && point.kind !== "none") {
    parts.push(h("line", { key: "way", className: "atr-way", x1: from[0], y1: from[1], x2: x, y2: y }));
    parts.push(h("circle", { key: "was", className: "atr-was", cx: from[0], cy: from[1], r: 4 }));
  }
  const hidden = mine ? mine.verdict === "hidden" || (mine.new && mine.new[2] === 1) : point.v === 1;
  const off = mine && (mine.verdict === "reject" || mine.verdict === "absent");
  const attributes = { cx: x, cy: y, stroke: colour, fill: colour, className: "atr-dot" + (hidden ? " atr-hidden" : "") };
  if (human) {
    parts.push(h("circle", { key: "dot", ...attributes, r: 3.5, className: "atr-dot atr-human" + (hidden ? " atr-hidden" : "") }));
  } else if (current) {
    // A ring with a dot: the picture under the point stays visible.
    parts.push(h("circle", { key: "shade", className: "atr-shade", cx: x, cy: y, r: 11 }));
    parts.push(h("circle", { key: "ring", ...attributes, fill: "none", r: 11, className: "atr-ring" + (hidden ? " atr-hidden" : "") }));
    parts.push(h("circle", { key: "dot", ...attributes, r: 2, className: "atr-centre" }));
  } else {
    const hollow = point.kind === "candidate" && !(mine && mine.new);
    parts.push(h("circle", { key: "shade", className: "atr-shade", cx: x, cy: y, r: 6 }));
    parts.push(h("circle", { key: "dot", ...attributes, fill: hollow ? "none" : colour, r: 6, className: attributes.className + (hollow ? " atr-hollow" : "") }));
  }
  if (off) {
    const r = current ? 8 : 5;
    parts.push(h("path", { key: "cross", className: "atr-cross", d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x + r} ${y - r}L${x - r} ${y + r}` }));
  } else if (mine) {
    parts.push(h("text", { key: "done", className: "atr-tick", x: x + 9, y: y - 8, fill: DONE[mine.verdict].colour }, DONE[mine.verdict].mark));
  }
  if (!human) {
    parts.push(
      h("circle", {
        key: "grip",
        className: "atr-grip",
        "data-keypoint": name,
        cx: x,
        cy: y,
        r: 14,
        onPointerDown: (e) => down(e, name),
        onPointerEnter: () => setOver(name),
        onPointerLeave: () => setOver(null),
      }),
    );
  } else {
    parts.push(h("circle", { key: "grip", className: "atr-look", cx: x, cy: y, r: 9, onPointerEnter: () => setOver(name), onPointerLeave: () => setOver(null) }));
  }
  return h("g", { opacity: off && !current ? 0.6 : 1 }, parts);
}

function Label({ p, name, at, size }) {
  const point = p.points[name];
  const mine = p.mine[name];
  const sure = confidence(point);
  const text = `${words(name)} · ${point.kind === "human" ? "labelled" : mine ? DONE[mine.verdict].text : sure}`;
  const width = 7.2 * text.length + 14;
  const right = at[0] + 18 + width < size.w;
  const x = right ? at[0] + 18 : at[0] - 18 - width;
  const y = Math.max(14, Math.min(size.h - 14, at[1] - 18));
  return h("g", { className: "atr-label", pointerEvents: "none" }, h("rect", { x, y: y - 11, width, height: 22, rx: 4 }), h("text", { x: x + 7, y: y + 5 }, text));
}
