// What the panel calls things, and in which colours.

// The same colours as in FiftyOne's grid (annotext/review/fiftyone/views.py), told apart with red-green blindness too.
const HUMAN = "#56B4E9";
const CANDIDATE = "#CC79A7";
const COLOURS = { student: "#E69F00", teacher: "#F0E442", derived: "#2BC48A", corrected: "#FFFFFF", none: "#999999" };
const GOOD = "#3ddc84";
const BAD = "#ff5252";

const DONE = {
  accept: { mark: "✓", text: "accepted", colour: GOOD },
  reject: { mark: "✕", text: "rejected", colour: BAD },
  move: { mark: "↗", text: "moved", colour: GOOD },
  hidden: { mark: "◌", text: "hidden", colour: GOOD },
  absent: { mark: "∅", text: "absent", colour: BAD },
};

const KEYS = [
  ["A", "accept: the point is right where it is"],
  ["R", "reject: it is wrong, and you leave open where it should be"],
  ["drag", "move it with the mouse to where it belongs"],
  ["P", "place: then click where the point belongs; also for points without an estimate"],
  ["H", "hidden: right where it is, but covered by something"],
  ["X", "absent: not in the picture at all"],
  ["Shift A", "accept all points left of this person"],
  ["U", "undo your last decision"],
  ["N", "leave a note on the point or the person"],
  ["Tab ↓ →", "next point; with Shift, or ↑ ←, the one before"],
  ["J, Page ↓", "next person"],
  ["K, Page ↑", "the person before"],
  ["wheel", "zoom; drag the picture to shift it"],
  ["Z", "close to the point, and back"],
  ["?", "this help"],
];

/** A colour for text, whether FiftyOne is dark or light. */
const legible = (colour) => `color-mix(in srgb, ${colour} 60%, var(--fo-palette-text-primary, #eee))`;

const words = (keypoint) => keypoint.replaceAll("_", " ");
const percent = (score) => Math.round(100 * score) + " %";
// Only calibrated points have a radius. A score without a calibration is no probability, and must not look like one.
const confidence = (point) =>
  point.source === "derived" ? "derived" : point.source === "corrected" ? "placed" : point.radius ? percent(point.score) : "score " + point.score.toFixed(2);
