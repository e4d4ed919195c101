// Decisions on their way to the server: one request after the other, in their order.
//
// When a request fails, nothing more is taken until it was repeated or given up. Decisions carry ids: asking twice to save
// one saves it once. The browser's tab keeps what is not saved, so that a page that was reloaded sends it.

const KEPT = "annotext-unsaved"; // the key in the tab's storage
const UNSEEN_MS = 2000; // a panel may be away for a moment
const UNSAVED = 20; // more than that in flight means that something is wrong

class Outbox {
  constructor() {
    this.listeners = new Set(); // get the server's answer when something was saved, null when that changed otherwise
    this.unsaved = []; // {about: whose, items: as the server takes them, revert: takes them off the screen}
    this.saving = false;
    this.failed = null; // why
    this.panels = 0; // that are on the screen
  }

  notify(answer) {
    this.keep();
    this.warn();
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
    this.keep();
    this.pump();
  }

  async pump() {
    if (this.saving || this.failed) return;
    this.saving = true;
    while (this.unsaved.length && !this.failed) {
      try {
        const answer = await call("decide", { decisions: this.unsaved[0].items });
        this.unsaved.shift();
        this.notify(answer);
      } catch (error) {
        this.failed = error.message;
        this.notify(null);
      }
    }
    this.saving = false;
  }

  keep() {
    const kept = this.unsaved.map(({ about, items }) => ({ about, items }));
    if (kept.length) sessionStorage.setItem(KEPT, JSON.stringify(kept));
    else sessionStorage.removeItem(KEPT);
  }

  /** Send what the page could not save before it was reloaded; whether there was any of this reviewer and dataset. */
  restore({ dataset, reviewer }, revert) {
    const kept = this.unsaved.length ? [] : JSON.parse(sessionStorage.getItem(KEPT) || "[]");
    const mine = kept.filter((batch) => batch.about.dataset === dataset && batch.about.reviewer === reviewer);
    for (const batch of mine) this.save({ ...batch, revert });
    return mine.length > 0;
  }

  /** A panel is on the screen, until the function that is returned is called. */
  seen() {
    this.panels += 1;
    this.warn();
    if (this.failed) this.retry();
    return () => {
      this.panels -= 1;
      setTimeout(() => this.warn(), UNSEEN_MS);
    };
  }

  /** FiftyOne takes all panels away when its server is gone: say then what is not saved. */
  warn() {
    const old = document.getElementById(KEPT);
    if (old) old.remove();
    if (this.panels || !this.count()) return;
    const banner = document.createElement("div");
    banner.id = KEPT;
    banner.className = "atr-failure atr-banner";
    banner.setAttribute("role", "alert");
    banner.textContent = `NOT SAVED: ${this.count()} of your decisions. Keep this tab: start \`annotext review open\` again as before, then reload the page, and they are sent.`;
    document.body.appendChild(banner);
  }

  retry() {
    this.failed = null;
    this.notify(null);
    this.pump();
  }

  giveUp() {
    for (const batch of this.unsaved.splice(0).reverse()) batch.revert();
    this.failed = null;
    this.notify(null);
  }
}

const outbox = new Outbox();
