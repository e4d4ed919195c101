// Decisions on their way to the server: one request after the other, in their order.
//
// When a request fails, nothing more is taken until it was repeated or given up. Decisions carry ids: asking twice to save
// one saves it once.

const UNSAVED = 20; // more than that in flight means that something is wrong

class Outbox {
  constructor() {
    this.listeners = new Set(); // get the server's answer when something was saved, null when that changed otherwise
    this.unsaved = []; // {items: as the server takes them, revert: takes them off the screen}
    this.saving = false;
    this.failed = null; // why
  }

  told(answer) {
    for (const listener of this.listeners) listener(answer);
  }

  /** What is on its way about a person, oldest first. */
  about(p) {
    const items = this.unsaved.flatMap((batch) => batch.items);
    return items.filter((i) => i.sample === p.sample && i.person === p.person);
  }

  /** Decisions on their way. */
  count() {
    return this.unsaved.reduce((n, batch) => n + batch.items.length, 0);
  }

  isFull() {
    return Boolean(this.failed) || this.unsaved.length >= UNSAVED;
  }

  /** Resolves when nothing is being saved. */
  async quiet() {
    while (this.unsaved.length && !this.failed) await new Promise((r) => setTimeout(r, 30));
  }

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
        this.told(answer);
      } catch (error) {
        this.failed = error.message;
        this.told(null);
      }
    }
    this.saving = false;
  }

  retry() {
    this.failed = null;
    this.told(null);
    this.pump();
  }

  giveUp() {
    for (const batch of this.unsaved.splice(0).reverse()) batch.revert();
    this.failed = null;
    this.told(null);
  }
}

const outbox = new Outbox();
