// Places of points: in the image, and of the picture on the screen.

const source = (p) => state.getSampleSrc(p.src);

/** Where a point is now: as this reviewer moved it, else as the file has it; null for one without a place. */
function placeOf(p, keypoint) {
  const mine = p.mine[keypoint];
  if (mine && mine.new) return { x: mine.new[0], y: mine.new[1] };
  const point = p.points[keypoint];
  return point && point.kind !== "none" ? { x: point.x, y: point.y } : null;
}

/** The rectangle to show of a person, image pixels: all points, with air; the box where points say little. */
function frameOf(p) {
  const xs = [];
  const ys = [];
  for (const point of Object.values(p.points)) {
    if (point.kind === "none") continue;
    xs.push(point.x);
    ys.push(point.y);
  }
  if (xs.length < 4 && p.bbox.length === 4) {
    xs.push(p.bbox[0], p.bbox[0] + p.bbox[2]);
    ys.push(p.bbox[1], p.bbox[1] + p.bbox[3]);
  }
  let [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const air = Math.max(6, 0.12 * Math.max(right - left, bottom - top));
  // No air beyond the picture, but for points that are there.
  left = Math.max(Math.min(-0.5, left - air / 3), left - air);
  top = Math.max(Math.min(-0.5, top - air / 3), top - air);
  right = Math.min(Math.max(p.width - 0.5, right + air / 3), right + air);
  bottom = Math.min(Math.max(p.height - 0.5, bottom + air / 3), bottom + air);
  return { x: (left + right) / 2, y: (top + bottom) / 2, w: Math.max(12, right - left), h: Math.max(12, bottom - top) };
}

function viewport(model, p, size) {
  const frame = frameOf(p);
  const fitted = Math.min(size.w / frame.w, size.h / frame.h);
  if (model.zoom) return model.zoom;
  const at = model.keypoint && placeOf(p, model.keypoint);
  if (model.closeUp && at) return { x: at.x, y: at.y, scale: Math.max(fitted * 2.5, 4) };
  return { x: frame.x, y: frame.y, scale: fitted };
}

const side = (name) => (name.startsWith("left_") ? "left" : name.startsWith("right_") ? "right" : "");
