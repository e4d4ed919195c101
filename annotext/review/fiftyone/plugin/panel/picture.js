// The picture with its points, which take a mouse.

const DRAG_PX = 3;

function Picture({ model, p }) {
  const box = React.useRef(null);
  const [size, setSize] = React.useState({ w: 400, h: 400 });
  const [drag, setDrag] = React.useState(null);
  const [over, setOver] = React.useState(null);
  const port = viewport(model, p, size);
  const live = React.useRef(null);
  live.current = { port, size, p, drag };

  React.useLayoutEffect(() => {
    const measure = () => setSize({ w: box.current.clientWidth, h: box.current.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    // React listens to wheels passively: the page would scroll.
    const wheel = (event) => {
      event.preventDefault();
      const { port: from, size: s } = live.current;
      const scale = Math.max(0.05, Math.min(80, from.scale * Math.exp(-event.deltaY * 0.0015)));
      const rect = box.current.getBoundingClientRect();
      const dx = event.clientX - rect.left - s.w / 2;
      const dy = event.clientY - rect.top - s.h / 2;
      model.zoom = { x: from.x + dx / from.scale - dx / scale, y: from.y + dy / from.scale - dy / scale, scale };
      model.changed();
    };
    const element = box.current;
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", wheel);
    };
  }, [model]);

  const toScreen = (at) => [(at.x - port.x) * port.scale + size.w / 2, (at.y - port.y) * port.scale + size.h / 2];
  const toImage = (event) => {
    const rect = box.current.getBoundingClientRect();
    const x = (event.clientX - rect.left - size.w / 2) / port.scale + port.x;
    const y = (event.clientY - rect.top - size.h / 2) / port.scale + port.y;
    const inside = (c, length) => Math.round(100 * Math.max(-0.5, Math.min(length - 0.5, c))) / 100;
    return { x: inside(x, p.width), y: inside(y, p.height) };
  };

  const down = (event, keypoint) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    document.activeElement && document.activeElement.blur && document.activeElement.blur();
    if (model.placing && model.keypoint) {
      const at = toImage(event);
      model.decide("move", [at.x, at.y]);
      return;
    }
    if (keypoint) model.choose(keypoint);
    box.current.setPointerCapture(event.pointerId);
    const at = keypoint && placeOf(p, keypoint);
    const grip = toImage(event);
    setDrag({ keypoint, x0: event.clientX, y0: event.clientY, port, moving: false, at, off: at && [at.x - grip.x, at.y - grip.y] });
  };

  const move = (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x0, event.clientY - drag.y0];
    if (!drag.moving && Math.hypot(dx, dy) < DRAG_PX) return;
    if (drag.keypoint) {
      const grip = toImage(event);
      const x = Math.max(-0.5, Math.min(p.width - 0.5, grip.x + drag.off[0]));
      const y = Math.max(-0.5, Math.min(p.height - 0.5, grip.y + drag.off[1]));
      setDrag({ ...drag, moving: true, at: { x, y } });
    } else {
      const s = drag.port.scale;
      model.zoom = { x: drag.port.x - dx / s, y: drag.port.y - dy / s, scale: s };
      setDrag({ ...drag, moving: true });
      model.changed();
    }
  };

  const up = () => {
    if (drag && drag.keypoint && drag.moving) {
      model.zoom = model.zoom || port; // the picture must not jump under the hand
      model.decide("move", [Math.round(100 * drag.at.x) / 100, Math.round(100 * drag.at.y) / 100]);
    }
    setDrag(null);
  };

  const where = (name) => (drag && drag.moving && drag.keypoint === name ? drag.at : placeOf(p, name));
  const names = model.about.names;
  const added = new Set(model.listed(p));
  const shapes = [];
  const [ix, iy] = toScreen({ x: -0.5, y: -0.5 });
  shapes.push(
    h("image", {
      key: "image",
      href: source(p),
      x: ix,
      y: iy,
      width: p.width * port.scale,
      height: p.height * port.scale,
      preserveAspectRatio: "none",
    }),
  );
  if (p.bbox.length === 4) {
    const [bx, by] = toScreen({ x: p.bbox[0], y: p.bbox[1] });
    shapes.push(h("rect", { key: "box", className: "atr-box", x: bx, y: by, width: p.bbox[2] * port.scale, height: p.bbox[3] * port.scale }));
  }
  for (const chain of model.about.edges) {
    for (let i = 0; i + 1 < chain.length; i++) {
      const [a, b] = [names[chain[i]], names[chain[i + 1]]];
      const gone = (k) => p.mine[k] && (p.mine[k].verdict === "reject" || p.mine[k].verdict === "absent");
      const [from, to] = [where(a), where(b)];
      if (!from || !to || gone(a) || gone(b)) continue;
      const [x1, y1] = toScreen(from);
      const [x2, y2] = toScreen(to);
      const isAdded = added.has(a) || added.has(b);
      const kind = isAdded ? "added" : side(a) && side(a) === side(b) ? side(a) : "middle";
      shapes.push(h("line", { key: a + b + "under", className: "atr-under", x1, y1, x2, y2 }));
      shapes.push(h("line", { key: a + b, className: "atr-limb atr-limb-" + kind, x1, y1, x2, y2 }));
    }
  }
  const current = model.keypoint && p.points[model.keypoint] ? model.keypoint : null;
  const order = names.filter((k) => p.points[k] && k !== current);
  if (current) order.push(current);
  for (const name of order) {
    const at = where(name);
    if (!at) continue;
    shapes.push(h(Dot, { key: name, p, name, at: toScreen(at), port, current: name === current, model, down, setOver, moving: drag && drag.moving && drag.keypoint === name, from: toScreen(p.points[name]) }));
  }
  const label = over && over !== current ? over : current;
  if (label && where(label)) shapes.push(h(Label, { key: "label", p, name: label, at: toScreen(where(label)), size }));
  return h(
    "div",
    {
      className: "atr-picture" + (model.placing ? " atr-placing" : ""),
      ref: box,
      "data-cy": "review-picture",
      // Here, not on the drawing: the box holds the pointer while it drags.
      onPointerMove: move,
      onPointerUp: up,
      onPointerCancel: () => setDrag(null),
    },
    h(
      "svg",
      {
        width: size.w,
        height: size.h,
        onPointerDown: (e) => down(e, null),
        onDoubleClick: () => {
          model.zoom = null;
          model.closeUp = false;
          model.changed();
        },
      },
      shapes,
    ),
    current && where(current) && h(Loupe, { model, p, name: current, at: where(current), port, size, where }),
    model.placing && h("div", { className: "atr-hint" }, `Click where the ${words(model.keypoint)} is. Esc: not now.`),
  );
}
