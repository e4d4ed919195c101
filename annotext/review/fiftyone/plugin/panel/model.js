// What is shown. What was decided on a person is as the server says it (panel.decided); only this page's own decisions are
// shown before they are saved (see outbox), as the keys that were pressed. Coordinates are image pixels, 0-based: the centre
// of the top left pixel is (0, 0).

const AHEAD = 6; // people loaded before they are needed

class Model {
  constructor() {
    this.listeners = new Set();
    this.people = new Map();
    this.asking = new Set();
    outbox.listeners.add((answer) => this.saved(answer));
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

  /** The outbox saved something, or could not: then there is no answer. */
  saved(answer) {
    if (answer && this.progress) this.progress = answer.progress;
    if (answer && answer.note) this.message = answer.note;
    for (const state of answer ? answer.people : []) {
      const p = this.people.get(state.sample + "/" + state.person);
      if (p) this.arrived(Object.assign(p, state));
    }
    this.changed();
  }

  /** The server said what is decided on a person: what it does not know yet is shown on top of that. */
  arrived(p) {
    const [notes, waiting] = [[], []];
    for (const i of outbox.about(p)) (i.verdict === "note" ? notes : waiting).push(i);
    p.notes.push(...notes.map((i) => this.noted(i)));
    if (waiting.length || !this.everybody) this.put(p, waiting.map((i) => [i.keypoint, i.verdict === "undo" ? null : i]));
  }

  noted({ id, keypoint, note }) {
    return { id, keypoint, note, reviewer: this.about.reviewer };
  }

  giveUp() {
    outbox.giveUp();
    this.say("Given up: what was not saved is undecided again.");
  }

  // -------------------------------------------------------------------------------- the queue

  /** Load who is to be gone through: those of the grid's view, or of one sample. stay: with the person shown now. */
  async load(sample, stay) {
    const mine = ++this.generation;
    const keep = stay ? this.row() : null;
    this.sample = sample;
    this.loading = true;
    this.problem = null;
    this.changed();
    await outbox.quiet();
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
    if (outbox.restore(answer.about, () => this.load(this.sample, true))) return this.load(sample, stay);
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
    const again = keep ? this.rows.findIndex((r) => r.sample === keep.sample && r.person === keep.person) : -1;
    this.go(again >= 0 ? again : Math.max(0, this.nextOpen()));
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
        this.arrived(p);
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
    if (!outbox.isFull()) return false;
    this.shake = Date.now();
    this.changed();
    return true;
  }

  /** One verdict on the current point. place: [x, y] with "move". */
  decide(verdict, place) {
    const p = this.person();
    const keypoint = this.keypoint;
    if (!p || !keypoint || this.blocked()) return;
    const point = p.points[keypoint];
    const mine = p.mine[keypoint];
    const right = verdict === "accept" || verdict === "hidden"; // where it is shown
    if (right && mine && mine.new) {
      if (verdict === "accept") return this.advance();
      place = mine.new.slice(0, 2);
    } else if (point.kind === "none" && verdict !== "move" && verdict !== "absent") {
      return this.say(`There is no estimate of ${words(keypoint)}: P and a click place it, X says it is absent.`);
    } else if (right && point.outside) {
      return this.say(`The ${words(keypoint)} is outside the image: drag it in, X says it is absent.`);
    }
    this.message = null;
    this.placing = false;
    this.commit(p, [[keypoint, { verdict, new: place || null }]]);
    if (verdict === "move") this.changed();
    else this.advance();
  }

  acceptAll() {
    const p = this.person();
    if (!p || this.blocked()) return;
    const open = this.left(p).filter((k) => !p.points[k].outside);
    if (!open.length) return this.left(p).length ? this.say("What is left lies outside the image: drag it in, X says it is absent.") : this.advance();
    this.commit(p, open.map((k) => [k, { verdict: "accept", new: null }]));
    this.advance();
    if (this.left(p).length) this.say("What is left lies outside the image: drag it in, X says it is absent.");
  }

  note(text, keypoint) {
    const p = this.person();
    this.overlay = null;
    if (!text.trim() || this.blocked()) return this.changed();
    const item = { ...this.item(p, keypoint), verdict: "note", note: text.trim() };
    p.notes.push(this.noted(item));
    outbox.save({ about: this.whose(), items: [item], revert: () => (p.notes = p.notes.filter((n) => n.id !== item.id)) });
    this.say("Noted.");
  }

  /** Show decisions and save them: [[keypoint, entry or null]]; null takes back what was decided. */
  commit(p, entries, undoing) {
    const before = entries.map(([k]) => [k, p.mine[k] || null]);
    this.put(p, entries);
    const items = entries.map(([k, e]) =>
      e ? { ...this.item(p, k), verdict: e.verdict, new: e.new } : { ...this.item(p, k), verdict: "undo" },
    );
    const done = { dataset: this.about.dataset, sample: p.sample, person: p.person, before, keypoint: this.keypoint };
    if (!undoing) this.undoable.push(done);
    outbox.save({
      about: this.whose(),
      items,
      revert: () => {
        this.put(p, before);
        this.undoable = this.undoable.filter((u) => u !== done);
      },
    });
  }

  whose() {
    return { dataset: this.about.dataset, reviewer: this.about.reviewer };
  }

  /** Show decisions on a person: here, and in the other panel where they are loaded there. */
  put({ sample, person }, entries) {
    for (const model of Object.values(models)) {
      const p = model.people.get(sample + "/" + person);
      if (!p) continue;
      for (const [k, e] of entries) {
        if (e) p.mine[k] = { verdict: e.verdict, new: e.new };
        else delete p.mine[k];
      }
      const row = model.rows.find((r) => r.sample === sample && r.person === person);
      if (row) row.left = model.left(p).length;
    }
  }

  item(p, keypoint) {
    const point = keypoint ? p.points[keypoint] : null;
    const seen = point && point.kind !== "none" ? [point.x, point.y] : null;
    return { id: newId(), sample: p.sample, person: p.person, keypoint, seen };
  }

  async undo() {
    if (this.blocked()) return;
    const last = this.undoable.pop();
    if (!last) return this.say("Nothing to undo in this session. ↶ beside a point takes it back.");
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
}

const models = { grid: new Model(), modal: new Model() };

window.addEventListener("beforeunload", (event) => {
  if (outbox.count()) event.preventDefault();
});

// A reviewer has nothing to decide about FiftyOne's advertisement, which would cover this panel.
localStorage.setItem("fiftyone-enterprise-tooltip-seen", "true");
