// The Review panel of annotext, for FiftyOne's App. Hand-written, no build step: FiftyOne loads this file as a script.
//
// The model below holds what is shown and what was decided; React draws it. A decision is shown at once and saved in the
// background, one request after the other; when a save fails, the panel says so and takes no further decision until it
// is saved or given up. Coordinates are image pixels, 0-based: the centre of the top left pixel is (0, 0).
(function () {
  "use strict";

  const React = window.React;
  const h = React.createElement;
  const { useRecoilValue, useRecoilValueLoadable } = window.recoil;
  const state = window.__fos__;
  const operators = window.__foo__;
  const plugins = window.__fop__;
  const { usePanelContext } = window.__fosp__;

  const NAME = "annotext_review";
  const PLUGIN = "@annotext/review/";
  const ANSWER_MS = 20000; // longer than the server waits for its database
  const AHEAD = 6; // people loaded before they are needed
  const UNSAVED = 20; // more than that in flight means that something is wrong
  const DRAG_PX = 3;

  // The same colours as in FiftyOne's grid (annotext/review/views.py), told apart with red-green blindness too.
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

  const words = (keypoint) => keypoint.replaceAll("_", " ");
  const percent = (score) => Math.round(100 * score) + " %";

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  }

  /** Call one of the plugin's Python operators: resolves to its answer, rejects with an Error that says why. */
  function call(name, params) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the server does not answer; does `annotext review open` still run?")), ANSWER_MS);
      operators.executeOperator(PLUGIN + name, params, {
        skipErrorNotification: true,
        skipOutput: true,
        callback: (answer) => {
          clearTimeout(late);
          const result = answer && answer.result;
          if (answer && answer.error) reject(new Error(readable(answer)));
          else if (result && result.problem) reject(new Error(result.problem));
          else if (result && "ok" in result) resolve(result.ok);
          else reject(new Error("the server gave no answer"));
        },
      });
    });
  }

  function readable(answer) {
    const text = String(answer.errorMessage || (answer.error && answer.error.message) || answer.error);
    return /failed to fetch|networkerror|load failed/i.test(text)
      ? "the server cannot be reached; does `annotext review open` still run?"
      : text.slice(0, 400);
  }

  // ------------------------------------------------------------------------------------------------ model

  class Model {
    constructor() {
      this.listeners = new Set();
      this.people = new Map();
      this.asking = new Set();
      this.unsaved = [];
      this.saving = false;
      this.failed = null;
      this.everybody = false;
      this.closeUp = false;
      this.generation = 0;
      this.forget();
    }

    forget() {
      this.rows = [];
      this.at = -1;
      this.keypoint = null;
      this.undoable = [];
      this.zoom = null;
      this.overlay = null; // "help" or "note"
      this.placing = false;
      this.about = null;
      this.view = null;
      this.progress = null;
      this.problem = null;
      this.message = null;
      this.loading = true;
    }

    subscribe(listener) {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    }

    changed() {
      for (const listener of this.listeners) listener();
    }

    say(text) {
      this.message = text;
      this.changed();
    }

    // -------------------------------------------------------------------------------- the queue

    /** Load who is to be gone through: those of the grid's view, or of one sample. */
    async load(sample) {
      const mine = ++this.generation;
      const keep = this.row();
      this.sample = sample;
      this.loading = true;
      this.problem = null;
      this.changed();
      await this.quiet();
      let answer;
      try {
        answer = await call("queue", { sample: sample || null, everybody: this.everybody || Boolean(sample) });
      } catch (error) {
        if (mine !== this.generation) return;
        this.forget();
        this.loading = false;
        this.problem = error.message;
        this.changed();
        return;
      }
      if (mine !== this.generation) return; // another view was chosen meanwhile
      const undoable = this.undoable;
      this.forget();
      this.undoable = undoable.filter((u) => answer.about.dataset === u.dataset);
      this.people.clear();
      this.asking.clear();
      this.about = answer.about;
      this.view = answer.view;
      this.only = answer.keypoint;
      this.progress = answer.progress;
      this.all = answer.everybody;
      this.rows = answer.rows.map(([id, person, left]) => ({ sample: id, person, left }));
      this.loading = false;
      const again = keep && this.rows.findIndex((r) => r.sample === keep.sample && r.person === keep.person);
      this.go(again > 0 ? again : 0);
    }

    /** Resolves when nothing is being saved. */
    async quiet() {
      while (this.unsaved.length && !this.failed) await new Promise((r) => setTimeout(r, 30));
    }

    row() {
      return this.rows[this.at] || null;
    }

    person() {
      const row = this.row();
      return row ? this.people.get(row.sample + "/" + row.person) || null : null;
    }

    go(at, keypoint) {
      if (!this.rows.length) {
        this.at = -1;
        this.changed();
        return;
      }
      this.at = Math.max(0, Math.min(this.rows.length - 1, at));
      this.keypoint = null;
      this.wanted = keypoint || null;
      this.zoom = null;
      this.placing = false;
      this.overlay = null;
      this.arrive();
      this.fetchAround();
      this.changed();
    }

    /** One person on or back; in the modal the next image follows the last person of an image. */
    walk(by) {
      if (this.blocked()) return;
      const inside = this.at + by >= 0 && this.at + by < this.rows.length;
      if (inside) this.go(this.at + by);
      else if (!this.turn || !this.turn(by)) this.say(by > 0 ? "This is the last person." : "This is the first person.");
    }

    /** Choose the point to start with as soon as the person is there. */
    arrive() {
      const p = this.person();
      if (!p || this.keypoint) return;
      const open = this.left(p);
      this.keypoint = this.wanted || open[0] || p.ask[0] || this.listed(p)[0] || null;
      this.wanted = null;
    }

    async fetchAround() {
      const key = (r) => r.sample + "/" + r.person;
      const wanted = this.rows
        .slice(Math.max(0, this.at - 1), this.at + AHEAD)
        .filter((r) => !this.people.has(key(r)) && !this.asking.has(key(r)));
      const here = this.row();
      // One at a time is not worth a request, unless it is needed now.
      if (!wanted.length || (wanted.length < 3 && !wanted.includes(here) && this.at + AHEAD < this.rows.length)) return;
      const mine = this.generation;
      wanted.forEach((r) => this.asking.add(key(r)));
      try {
        const found = await call("people", { people: wanted.map((r) => [r.sample, r.person]), view: this.view });
        if (mine !== this.generation) return;
        for (const p of found) {
          this.people.set(p.sample + "/" + p.person, p);
          new Image().src = source(p); // the browser has it when it is shown
        }
        for (const r of wanted) if (!this.people.has(key(r))) r.gone = true;
      } catch (error) {
        if (mine !== this.generation) return;
        this.problem = error.message;
      }
      wanted.forEach((r) => this.asking.delete(key(r)));
      this.arrive();
      this.changed();
    }

    // -------------------------------------------------------------------------------- points

    isDone(p, keypoint) {
      return Boolean(p.mine[keypoint] || (!this.everybody && p.others[keypoint]));
    }

    left(p) {
      return p.ask.filter((k) => !this.isDone(p, k));
    }

    /** All added points: those asked about, then the rest. */
    listed(p) {
      const rest = this.about.added.filter((k) => p.points[k] && p.points[k].kind !== "human" && !p.ask.includes(k));
      return [...p.ask, ...rest];
    }

    step(by) {
      const p = this.person();
      if (!p) return;
      const names = this.listed(p);
      if (!names.length) return;
      const i = names.indexOf(this.keypoint);
      this.choose(names[(i + by + names.length) % names.length]);
    }

    choose(keypoint) {
      this.keypoint = keypoint;
      this.placing = false;
      this.message = null;
      this.changed();
    }

    /** After a decision: the next open point of the person, or the next person with one. */
    advance() {
      const p = this.person();
      const open = this.left(p);
      if (open.length) {
        const i = p.ask.indexOf(this.keypoint);
        const after = open.find((k) => p.ask.indexOf(k) > i);
        this.choose(after || open[0]);
        return;
      }
      const next = this.nextOpen();
      if (next >= 0) this.go(next);
      else if (this.rows.some((r) => r.left > 0)) this.say("No person after this one has points left; some before have (K).");
      else if (this.turn) this.say("Nothing is left on this image: J shows the next one.");
      else this.say("Nothing is left in this view. Choose another one at the top left.");
    }

    nextOpen() {
      for (let i = this.at + 1; i < this.rows.length; i++) if (this.rows[i].left > 0 && !this.rows[i].gone) return i;
      return -1;
    }

    // -------------------------------------------------------------------------------- deciding

    blocked() {
      if (this.failed || this.unsaved.length >= UNSAVED) {
        this.shake = Date.now();
        this.changed();
        return true;
      }
      return false;
    }

    /** One verdict on the current point. place: [x, y] with "move". */
    decide(verdict, place) {
      const p = this.person();
      const keypoint = this.keypoint;
      if (!p || !keypoint || this.blocked()) return;
      const point = p.points[keypoint];
      const mine = p.mine[keypoint];
      let entry = { verdict, new: null };
      if (verdict === "move") {
        const v = mine && mine.verdict === "move" ? mine.new[2] : mine && mine.verdict === "hidden" ? 1 : point.v || 2;
        entry.new = [...place, v];
      } else if (mine && mine.verdict === "move" && (verdict === "accept" || verdict === "hidden")) {
        // A point that was moved is right where it is now.
        const v = verdict === "hidden" ? 1 : mine.new[2];
        if (v === mine.new[2]) return this.advance();
        entry = { verdict: "move", new: [mine.new[0], mine.new[1], v] };
      } else if (point.kind === "none" && verdict !== "absent") {
        return this.say(`There is no estimate of ${words(keypoint)}: P and a click place it, X says it is absent.`);
      } else if (isOutside(p, keypoint) && (verdict === "accept" || verdict === "hidden")) {
        return this.say(`The ${words(keypoint)} is outside the image: drag it in, X says it is absent.`);
      }
      this.message = null;
      this.placing = false;
      this.commit(p, [[keypoint, entry]]);
      if (verdict === "move") this.changed();
      else this.advance();
    }

    acceptAll() {
      const p = this.person();
      if (!p || this.blocked()) return;
      const open = this.left(p).filter((k) => !isOutside(p, k));
      if (!open.length) return this.left(p).length ? this.say("What is left lies outside the image: X says it is absent.") : this.advance();
      this.commit(p, open.map((k) => [k, { verdict: "accept", new: null }]));
      this.advance();
    }

    note(text, keypoint) {
      const p = this.person();
      this.overlay = null;
      if (!text.trim() || this.blocked()) return this.changed();
      p.notes.push({ keypoint, note: text.trim(), reviewer: this.about.reviewer });
      const item = { ...this.item(p, keypoint), verdict: "note", note: text.trim() };
      this.save({ items: [item], revert: () => p.notes.pop() });
      this.say("Noted.");
    }

    /** Show decisions and save them: [[keypoint, entry or null]]; null takes back what was said. */
    commit(p, entries, undoing) {
      const before = entries.map(([k]) => [k, p.mine[k] || null]);
      this.put(p, entries);
      const items = entries.map(([k, e]) =>
        e ? { ...this.item(p, k), verdict: e.verdict, new: e.new } : { ...this.item(p, k), verdict: "undo" },
      );
      const done = { dataset: this.about.dataset, sample: p.sample, person: p.person, before, keypoint: this.keypoint };
      if (!undoing) this.undoable.push(done);
      this.save({
        items,
        revert: () => {
          this.put(p, before);
          this.undoable = this.undoable.filter((u) => u !== done);
        },
      });
    }

    put(p, entries) {
      for (const [k, e] of entries) {
        if (e) p.mine[k] = e;
        else delete p.mine[k];
      }
      const row = this.rows.find((r) => r.sample === p.sample && r.person === p.person);
      if (row) row.left = this.left(p).length;
    }

    item(p, keypoint) {
      const point = keypoint ? p.points[keypoint] : null;
      const seen = point && point.kind !== "none" ? [point.x, point.y] : null;
      return { id: newId(), sample: p.sample, person: p.person, keypoint, seen };
    }

    async undo() {
      if (this.blocked()) return;
      const last = this.undoable.pop();
      if (!last) return this.say("Nothing to undo in this session. ↶ beside a point takes back what you said of it.");
      const at = this.rows.findIndex((r) => r.sample === last.sample && r.person === last.person);
      const p = this.people.get(last.sample + "/" + last.person);
      if (at < 0 || !p) {
        this.undoable.push(last);
        return this.say(`What you decided last is on person ${last.person}, who is not in this view.`);
      }
      if (at !== this.at) this.go(at, last.keypoint);
      else this.choose(last.keypoint);
      this.commit(p, last.before, true);
      this.say(`Taken back: ${last.before.map(([k]) => words(k)).join(", ")}.`);
    }

    takeBack(keypoint) {
      const p = this.person();
      if (!p || !p.mine[keypoint] || this.blocked()) return;
      this.choose(keypoint);
      this.commit(p, [[keypoint, null]]);
      this.changed();
    }

    // -------------------------------------------------------------------------------- saving

    save(batch) {
      this.unsaved.push(batch);
      this.pump();
    }

    async pump() {
      if (this.saving || this.failed) return;
      this.saving = true;
      while (this.unsaved.length && !this.failed) {
        try {
          const answer = await call("decide", { decisions: this.unsaved[0].items });
          this.unsaved.shift();
          this.progress = answer.progress;
          if (answer.note) this.message = answer.note;
        } catch (error) {
          this.failed = error.message;
        }
        this.changed();
      }
      this.saving = false;
    }

    retry() {
      this.failed = null;
      this.changed();
      this.pump();
    }

    giveUp() {
      for (const batch of this.unsaved.splice(0).reverse()) batch.revert();
      this.failed = null;
      this.say("Given up: what was not saved is undecided again.");
    }
  }

  const models = { grid: new Model(), modal: new Model() };

  window.addEventListener("beforeunload", (event) => {
    if (Object.values(models).some((m) => m.unsaved.length)) event.preventDefault();
  });

  // A reviewer has nothing to decide about FiftyOne's advertisement, which would cover this panel.
  localStorage.setItem("fiftyone-enterprise-tooltip-seen", "true");

  const source = (p) => state.getSampleSrc(p.src);

  /** Whether the file has a point beyond the picture: there is nothing to accept there. */
  function isOutside(p, keypoint) {
    const { kind, x, y } = p.points[keypoint];
    return kind !== "none" && !(x >= -0.5 && y >= -0.5 && x <= p.width - 0.5 && y <= p.height - 0.5);
  }

  /** Where a point is now: as this reviewer moved it, else as the file has it; null for one without a place. */
  function placeOf(p, keypoint) {
    const mine = p.mine[keypoint];
    if (mine && mine.new) return { x: mine.new[0], y: mine.new[1] };
    const point = p.points[keypoint];
    return point && point.kind !== "none" ? { x: point.x, y: point.y } : null;
  }

  // ------------------------------------------------------------------------------------------------ picture

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
    const colour = human ? HUMAN : mine && mine.verdict === "move" ? COLOURS.corrected : point.kind === "candidate" ? CANDIDATE : COLOURS[point.source] || COLOURS.none;
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
      const hollow = point.kind === "candidate" && !(mine && mine.verdict === "move");
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
    const sure = point.source === "derived" ? "derived" : percent(point.score);
    const text = `${words(name)} · ${point.kind === "human" ? "labelled" : mine ? DONE[mine.verdict].text : sure}`;
    const width = 7.2 * text.length + 14;
    const right = at[0] + 18 + width < size.w;
    const x = right ? at[0] + 18 : at[0] - 18 - width;
    const y = Math.max(14, Math.min(size.h - 14, at[1] - 18));
    return h("g", { className: "atr-label", pointerEvents: "none" }, h("rect", { x, y: y - 11, width, height: 22, rx: 4 }), h("text", { x: x + 7, y: y + 5 }, text));
  }

  // ------------------------------------------------------------------------------------------------ around it

  function Swatch({ point, mine }) {
    const moved = mine && mine.verdict === "move";
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
    const sure = point.kind === "none" ? "no estimate" : point.source === "derived" ? "derived" : percent(point.score);
    const state = mine && DONE[mine.verdict];
    return h(
      "div",
      {
        className: "atr-point" + (name === model.keypoint ? " atr-on" : "") + (model.isDone(p, name) ? " atr-done" : ""),
        onClick: () => model.choose(name),
        title: [point.reason, point.radius ? `90 % within ${point.radius.toFixed(0)} px` : "", point.source].filter(Boolean).join(" · "),
        "data-cy": "review-point-" + name,
        "data-verdict": mine ? mine.verdict : "",
      },
      h(Swatch, { point, mine }),
      h("span", { className: "atr-name" }, words(name)),
      noted && h("span", { title: "has a note" }, "✎"),
      others.length > 0 &&
        h("span", { className: "atr-others", title: others.map((o) => `${o.reviewer}: ${o.verdict}`).join("\n") }, others.map((o) => `${o.reviewer.slice(0, 8)} ${DONE[o.verdict] ? DONE[o.verdict].mark : ""}`).join(" ")),
      state
        ? h("span", { className: "atr-state", style: { color: state.colour } }, `${state.mark} ${state.text}`)
        : h("span", { className: "atr-score" }, sure),
      mine &&
        h(
          "button",
          {
            className: "atr-back",
            title: "take back what you said of this point",
            onClick: (e) => {
              e.stopPropagation();
              model.takeBack(name);
            },
          },
          "↶",
        ),
    );
  }

  function Key({ children }) {
    return h("kbd", null, children);
  }

  function Action({ model, name, keys, text, run, kind, off }) {
    return h(
      "button",
      { className: "atr-action atr-" + (kind || "plain"), disabled: Boolean(off || model.failed), onClick: run, "data-cy": "review-" + name },
      h("span", null, text),
      h(Key, null, keys),
    );
  }

  function Actions({ model, p }) {
    const open = model.left(p).length;
    const point = p.points[model.keypoint];
    const none = !point;
    const nothing = none || (point.kind === "none" && !p.mine[model.keypoint]);
    const moved = p.mine[model.keypoint] && p.mine[model.keypoint].verdict === "move";
    const act = (verdict) => () => model.decide(verdict);
    return h(
      "div",
      { className: "atr-actions" },
      h(Action, { model, name: "accept", keys: "A", text: moved ? "Go on" : "Accept", kind: "good", run: act("accept"), off: nothing }),
      h(Action, { model, name: "reject", keys: "R", text: "Reject", kind: "bad", run: act("reject"), off: nothing || (point && point.kind === "none") }),
      h(Action, { model, name: "hidden", keys: "H", text: "Hidden", run: act("hidden"), off: nothing }),
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

  function Question({ model, p }) {
    const name = model.keypoint;
    const point = name && p.points[name];
    if (!point) return h("div", { className: "atr-question" }, "Nothing was added to this person.");
    const mine = p.mine[name];
    const facts = [];
    if (point.kind === "none") facts.push("no model has an estimate");
    else {
      if (point.source === "derived") facts.push("computed from labelled points");
      else facts.push(`${percent(point.score)} sure`, point.source);
      if (point.radius) facts.push(`90 % within ${point.radius.toFixed(0)} px (circle)`);
      if (isOutside(p, name)) facts.push("outside the image");
      else if (point.kind === "candidate") facts.push("kept back so far");
    }
    const others = (p.others[name] || []).map((o) => `${o.reviewer} says ${o.verdict}`);
    const text =
      point.kind === "none" && !mine
        ? h(React.Fragment, null, "Where is the ", h("b", null, words(name)), "? Press P and click, or X if it is not in the picture.")
        : mine
          ? h(React.Fragment, null, h("b", null, words(name)), ": you said ", h("b", { style: { color: DONE[mine.verdict].colour } }, DONE[mine.verdict].text), mine.verdict === "move" ? ". Drag it again, H if it is hidden, A to go on." : ".")
          : h(React.Fragment, null, "Is the ", h("b", null, words(name)), " right?");
    return h("div", { className: "atr-question", "data-cy": "review-question" }, h("div", null, text), h("div", { className: "atr-facts", title: point.reason || "" }, [...facts, ...others].join(" · ")));
  }

  function Progress({ model }) {
    const g = model.progress;
    if (!g) return null;
    const total = g.decided + g.left;
    const unsaved = model.unsaved.reduce((n, b) => n + b.items.length, 0);
    const parts = [`${g.decided} decided`, `${g.left} left`];
    if (g.per_minute) parts.push(`${g.per_minute.toFixed(g.per_minute < 10 ? 1 : 0)} a minute`);
    if (g.minutes_left !== null && g.left) parts.push("about " + duration(g.minutes_left));
    return h(
      "div",
      { className: "atr-progress", title: "Points of the whole dataset, by all reviewers; your own rate.", "data-cy": "review-progress" },
      h("div", { className: "atr-bar" }, h("div", { style: { width: `${total ? (100 * g.decided) / total : 0}%` } })),
      h("span", null, parts.join(" · ")),
      h("span", { className: "atr-saved" }, model.failed ? "not saved" : unsaved ? "saving…" : g.mine ? "all saved" : ""),
    );
  }

  function duration(minutes) {
    if (minutes < 1) return "1 min";
    if (minutes < 90) return Math.round(minutes) + " min";
    return (minutes / 60).toFixed(1) + " h";
  }

  function Failure({ model }) {
    const n = model.unsaved.reduce((sum, b) => sum + b.items.length, 0);
    return h(
      "div",
      { className: "atr-failure", role: "alert", key: model.shake, "data-cy": "review-failure" },
      h("b", null, `NOT SAVED: ${n} decision${n === 1 ? "" : "s"}.`),
      h("span", null, model.failed),
      h("span", null, "No further decision is taken until they are."),
      h("button", { onClick: () => model.retry(), "data-cy": "review-retry" }, "Try again ", h(Key, null, "Enter")),
      h("button", { onClick: () => model.giveUp(), "data-cy": "review-give-up" }, "Give them up"),
    );
  }

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

  function Person({ model, p, narrow }) {
    const names = model.listed(p);
    const rest = names.slice(p.ask.length);
    const notes = p.notes.map((n, i) => h("div", { key: i, className: "atr-said" }, `✎ ${n.reviewer}${n.keypoint ? " on " + words(n.keypoint) : ""}: ${n.note}`));
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
              model.load(model.sample);
            },
          }),
          " everybody",
        ),
      h("button", { onClick: () => model.load(model.sample), title: "Load the view again: leaves out what is decided", "data-cy": "review-reload" }, "⟳"),
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
    if (model.failed && key === "Enter") return model.retry(), true;
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
    const asked = JSON.stringify(modal ? [current, refreshed] : [view, filters, extended, refreshed]);

    React.useEffect(() => model.subscribe(draw), [model]);
    React.useEffect(() => {
      if (modal && !current) return;
      if (model.asked === asked && !model.problem) return; // the tab was only hidden
      model.asked = asked;
      model.load(current);
    }, [model, asked]);
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
      model.failed && h(Failure, { model }),
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

  // ------------------------------------------------------------------------------------------------ looks

  const CSS = `
.atr { position: relative; display: flex; flex-direction: column; height: 100%; box-sizing: border-box; padding: 8px 10px;
  gap: 6px; font-size: 14px; color: var(--fo-palette-text-primary, #eee); background: var(--fo-palette-background-level2, #262626);
  font-family: inherit; user-select: none; }
.atr button { font: inherit; color: inherit; background: var(--fo-palette-background-level1, #333); cursor: pointer;
  border: 1px solid var(--fo-palette-divider, #555); border-radius: 4px; padding: 3px 8px; }
.atr button:hover:not(:disabled) { border-color: var(--fo-palette-text-secondary, #aaa); }
.atr button:disabled { opacity: .4; cursor: default; }
.atr kbd { font: inherit; font-size: 12px; line-height: 16px; padding: 0 5px; border-radius: 3px; white-space: nowrap;
  border: 1px solid currentColor; opacity: .75; }
.atr-top, .atr-progress { display: flex; align-items: center; gap: 8px; flex-wrap: wrap; }
.atr-where { font-weight: 600; white-space: nowrap; } .atr-dim { font-weight: 400; opacity: .7; }
.atr-grow { flex: 1; }
.atr-progress { font-size: 13px; } .atr-bar { flex: 1; min-width: 80px; height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--fo-palette-background-level1, #444); } .atr-bar div { height: 100%; background: ${GOOD}; }
.atr-saved { opacity: .6; min-width: 60px; }
.atr-person { flex: 1; min-height: 0; display: flex; gap: 10px; } .atr-person.atr-narrow { flex-direction: column; }
.atr-stage { flex: 1; min-width: 0; min-height: 0; display: flex; flex-direction: column; gap: 6px; }
.atr-question { font-size: 17px; height: 44px; } .atr-facts { font-size: 13px; opacity: .75; }
.atr-question > div { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.atr-loupe { position: absolute; pointer-events: none; border: 2px solid #fffa; border-radius: 4px; background: #111; overflow: hidden; }
.atr-aim { stroke: #fff; stroke-width: 1.5; fill: none; } .atr-aim-under { stroke: #000; stroke-width: 3.5; stroke-opacity: .6; }
.atr-picture { position: relative; flex: 1; min-height: 120px; overflow: hidden; background: #111; border-radius: 4px;
  touch-action: none; cursor: grab; } .atr-picture svg { display: block; } .atr-placing { cursor: crosshair; }
.atr-placing .atr-grip { cursor: crosshair; }
.atr-hint { position: absolute; left: 50%; top: 10px; transform: translateX(-50%); background: #000c; color: #fff;
  padding: 6px 12px; border-radius: 4px; pointer-events: none; }
.atr-side { width: clamp(190px, 32%, 252px); flex: none; display: flex; flex-direction: column; gap: 8px; min-height: 0; }
.atr-narrow .atr-side { width: auto; max-height: 50%; }
.atr-narrow .atr-actions { grid-template-columns: repeat(3, 1fr); } .atr-narrow button.atr-wide { grid-column: auto; }
.atr-list { flex: 1; min-height: 40px; overflow-y: auto; }
.atr-head { font-size: 12px; opacity: .6; padding: 6px 2px 2px; }
.atr-point { display: flex; align-items: center; gap: 8px; padding: 5px 6px; border-radius: 4px; cursor: pointer;
  border: 1px solid transparent; }
.atr-point:hover { background: var(--fo-palette-background-level1, #333); }
.atr-on { border-color: var(--fo-palette-text-primary, #fff); background: var(--fo-palette-background-level1, #333); }
.atr-name { flex: 1; white-space: nowrap; } .atr-done .atr-name { opacity: .65; }
.atr-score { opacity: .8; } .atr-state { white-space: nowrap; }
.atr-others { font-size: 12px; opacity: .8; border: 1px dashed currentColor; border-radius: 3px; padding: 0 4px; }
.atr button.atr-back { padding: 0 5px; }
.atr-swatch { display: inline-block; box-sizing: border-box; width: 13px; height: 13px; border-radius: 50%; flex: none; }
.atr-finding { font-size: 13px; padding: 1px 6px; } .atr-said { font-size: 13px; padding: 1px 6px; font-style: italic; }
.atr-actions { display: grid; grid-template-columns: 1fr 1fr; gap: 6px; }
.atr button.atr-action { display: flex; justify-content: space-between; align-items: center; padding: 7px 9px; }
.atr button.atr-good { border-color: ${GOOD}; } .atr button.atr-bad { border-color: ${BAD}; }
.atr button.atr-wide { grid-column: 1 / -1; }
.atr-message { font-size: 13px; opacity: .8; min-height: 18px; }
.atr-empty { flex: 1; padding: 32px; font-size: 15px; }
.atr-failure { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; background: #b00020; color: #fff;
  padding: 10px 12px; border-radius: 4px; font-size: 15px; animation: atr-shake .3s; }
.atr-failure button { background: #fff; color: #b00020; }
@keyframes atr-shake { 25% { transform: translateX(-6px); } 75% { transform: translateX(6px); } }
.atr-note, .atr-card { background: var(--fo-palette-background-level1, #333); border-radius: 6px; padding: 14px 18px;
  box-shadow: 0 4px 24px #000a; border: 1px solid var(--fo-palette-divider, #555); }
.atr-note { position: absolute; left: 50%; bottom: 60px; transform: translateX(-50%); width: min(440px, 90%); z-index: 3;
  display: flex; flex-direction: column; gap: 10px; }
.atr-note > input { font: inherit; padding: 8px; border-radius: 4px; border: 1px solid #888; background: #fff; color: #111; }
.atr-help { position: absolute; inset: 0; background: #0009; z-index: 4; display: flex; align-items: center;
  justify-content: center; cursor: pointer; overflow: auto; }
.atr-card { max-width: 560px; } .atr-card h3 { margin: 0 0 8px; } .atr-card td { padding: 2px 12px 2px 0; vertical-align: top; }
.atr-legend { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 12px; margin-top: 10px; }
.atr-legend div { display: flex; gap: 8px; align-items: center; font-size: 13px; }
.atr-box { fill: none; stroke: #fff; stroke-opacity: .35; stroke-dasharray: 4 4; }
.atr-under { stroke: #000; stroke-opacity: .45; stroke-width: 4; stroke-linecap: round; }
.atr-limb { stroke-width: 2; stroke-linecap: round; stroke: ${HUMAN}; }
.atr-limb-left { stroke: #8fd0ff; } .atr-limb-right { stroke: #2f86bd; } .atr-limb-middle { stroke: ${HUMAN}; }
.atr-limb-added { stroke: #E69F00; stroke-dasharray: 5 3; stroke-opacity: .9; }
.atr-dot { stroke-width: 2; } .atr-human { stroke: #0008; stroke-width: 1; } .atr-hollow { stroke-width: 3; }
.atr-hidden { stroke-dasharray: 3 2.5; } .atr-human.atr-hidden { fill-opacity: .45; stroke: #fff; stroke-width: 1; }
.atr-shade { fill: none; stroke: #000; stroke-opacity: .6; stroke-width: 5; }
.atr-ring { stroke-width: 3; } .atr-centre { stroke: #000; stroke-width: .8; }
.atr-within { fill: #fff; fill-opacity: .06; stroke: #fff; stroke-opacity: .8; stroke-dasharray: 6 5; }
.atr-way { stroke: #fff; stroke-width: 1.5; stroke-dasharray: 3 3; } .atr-was { fill: none; stroke: #fff; stroke-opacity: .7; }
.atr-cross { stroke: ${BAD}; stroke-width: 3; fill: none; } .atr-tick { font-size: 16px; font-weight: 700; paint-order: stroke;
  stroke: #000; stroke-width: 3px; }
.atr-grip { fill: transparent; cursor: move; } .atr-look { fill: transparent; }
.atr-label rect { fill: #000; fill-opacity: .75; } .atr-label text { fill: #fff; font-size: 13px; }
`;

  if (!document.getElementById("annotext-review-style")) {
    const style = document.createElement("style");
    style.id = "annotext-review-style";
    style.textContent = CSS;
    document.head.appendChild(style);
  }

  plugins.registerComponent({
    name: NAME,
    label: "Review",
    component: Review,
    type: plugins.PluginComponentType.Panel,
    activator: () => true,
    panelOptions: { surfaces: "grid modal", priority: 1000, category: "curate" },
  });
})();
