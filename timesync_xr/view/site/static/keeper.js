"use strict";
// Where acts are kept. Each goes into this browser's database first; where the pages are served by
// `timesync-xr interpret`, it is then sent to the disk, and leaves the browser once it is there.

/**
 * Keeps the acts of one interpreter. `session` is what the server told of who is at work, or empty
 * for pages from disk; `tell(state, text)` hears "saved", "saving", "browser" or "lost", and why.
 */
timesync.Keeper = class {
  static RETRY = 4000;

  constructor(session, tell) {
    Object.assign(this, { session, tell, waiting: new Map(), sending: Promise.resolve(), database: null, timer: 0 });
    this.isServed = Boolean(session.who);
    this.who = session.who || timesync.remembered("timesync-who");
    this.place = session.place ?? location.pathname.replace(/[^/]*$/, "");
    try {
      this.channel = new BroadcastChannel(`timesync ${this.place}`);
    } catch {
      this.channel = {}; // other windows learn of it when they are looked at again
    }
  }

  /** Who is at work, where the pages ask for it. */
  setWho(who) {
    this.who = who;
    timesync.remember("timesync-who", who);
  }

  async open() {
    const asked = indexedDB.open(`timesync ${this.place}`, 1);
    asked.onupgradeneeded = () => {
      const acts = asked.result.createObjectStore("acts", { keyPath: "id" });
      acts.createIndex("plot", ["who", "project", "plot"]);
      asked.result.createObjectStore("plots", { keyPath: ["who", "project", "plot"] });
      asked.result.createObjectStore("legends", { keyPath: "digest" });
    };
    try {
      this.database = await timesync.settled(asked);
    } catch {
      this.tell("lost", "This browser keeps nothing for these pages: save your answers as a file before you leave");
    }
    if (!this.isServed) return;
    for (const act of await this.all()) this.waiting.set(act.id, act);
    if (this.waiting.size) await this.send();
  }

  /** The acts of a plot, those on the disk and those that wait here. */
  async acts(project, plot) {
    const local = await this.read("acts", "plot", [this.who, project, plot]);
    if (!this.isServed) return local;
    const answer = await fetch(`../api/acts?${new URLSearchParams({ project, plot })}`);
    if (!answer.ok) throw new Error(await answer.text());
    return [...await answer.json(), ...local];
  }

  /** The acts of others on a plot, by their names, for who judges them. */
  async others(project, plot) {
    const names = this.session.others ?? [];
    return Promise.all(names.map(async (who) => {
      const answer = await fetch(`../api/acts?${new URLSearchParams({ project, plot, who })}`);
      if (!answer.ok) throw new Error(await answer.text());
      return [who, timesync.answers.interpret(await answer.json())];
    }));
  }

  /** All acts that are in this browser, of whoever is at work. */
  async all() {
    return (await this.read("acts")).filter((act) => act.who === this.who);
  }

  /** How far plots are, as [project, plot, vertices, missing labels, is an example]. */
  async summary() {
    const local = (await this.read("plots")).filter((one) => one.who === this.who);
    return [...(this.session.summary ?? []), ...local.map(({ project, plot, state }) => [project, plot, ...state])];
  }

  async read(store, index, key) {
    if (!this.database) return [];
    const from = this.database.transaction(store).objectStore(store);
    return timesync.settled(index ? from.index(index).getAll(key) : from.getAll());
  }

  /** Keep acts of a plot, whose state then is `state`; ends when they are safe, or it was told why not. */
  async keep(acts, state, legend) {
    this.tell("saving", "saving …");
    this.legend = legend;
    const safe = await this.write((to) => {
      for (const act of acts) to("acts").put(act);
      const [{ who, project, plot }] = acts;
      to("plots").put({ who, project, plot, state });
      to("legends").put(legend);
    });
    this.channel.postMessage?.([acts[0].project, acts[0].plot]);
    if (this.isServed || !safe) for (const act of acts) this.waiting.set(act.id, act);
    if (this.isServed) await this.send();
    else if (safe) this.tell("saved", "saved in this browser");
    else this.tell("lost", "This browser can't keep it: save your answers as a file before you leave this page");
  }

  /** Whether a change of the database is on the disk. */
  async write(change) {
    if (!this.database) return false;
    try {
      const one = this.database.transaction(["acts", "plots", "legends"], "readwrite", { durability: "strict" });
      change((name) => one.objectStore(name));
      await new Promise((done, failed) => {
        one.oncomplete = done;
        one.onabort = one.onerror = () => failed(one.error);
      });
      return true;
    } catch (error) {
      this.tell("lost", `This browser can't keep it (${error?.name ?? "no reason told"}): save your answers as a file now`);
      return false;
    }
  }

  /** Send what waits to the disk, one sending after the other. */
  send() {
    this.sending = this.sending.then(() => this.sendNow());
    return this.sending;
  }

  async sendNow() {
    clearTimeout(this.timer);
    const acts = [...this.waiting.values()].slice(0, 500);
    if (!acts.length) return this.tell("saved", "saved on disk");
    try {
      const answer = await fetch("../api/acts", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ acts }),
      });
      if (!answer.ok) throw new Error(await answer.text());
      const { kept } = await answer.json();
      for (const id of kept) this.waiting.delete(id);
      await this.write((to) => {
        for (const act of acts) if (!this.waiting.has(act.id)) to("acts").delete(act.id);
        for (const act of acts) to("plots").delete([act.who, act.project, act.plot]);
      });
      return this.waiting.size ? this.sendNow() : this.tell("saved", "saved on disk");
    } catch (error) {
      const why = error instanceof TypeError ? "the server does not answer: start timesync-xr interpret again" : error.message;
      const where = this.database ? "kept in this browser" : "nowhere but on this page";
      this.tell("browser", `Not on disk, ${where}: ${why}`);
      this.timer = setTimeout(() => this.send(), timesync.Keeper.RETRY);
      return undefined;
    }
  }

  /** Give all answers that are in this browser as a file for `timesync-xr answers merge`. */
  async saveFile() {
    const acts = timesync.answers.inOrder([...await this.all(), ...this.waiting.values()]);
    const kept = await this.read("legends");
    const legends = (kept.length ? kept : [this.legend].filter(Boolean)).map(({ digest, ...legend }) => legend);
    const head = { form: "timesync_xr answers", version: 1, legends };
    const text = [head, ...acts].map((one) => `${JSON.stringify(one)}\n`).join("");
    const address = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
    timesync.element("a", { href: address, download: `answers-${this.who}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    return acts.length;
  }
};

/** The result of a request to the browser's database. */
timesync.settled = (asked) => new Promise((done, failed) => {
  asked.onsuccess = () => done(asked.result);
  asked.onerror = () => failed(asked.error);
  asked.onblocked = () => failed(new Error("the database is in use"));
});

timesync.remembered = (key) => {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
};

timesync.remember = (key, text) => {
  try {
    localStorage.setItem(key, text);
  } catch {
    // a browser that keeps nothing for pages from disk
  }
};

/** An id of 32 hex digits. */
timesync.newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** 16 hex digits that stand for a text: FNV-1a of 64 bits. */
timesync.digest = (text) => {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
};

/** A text without ends of lines, control characters and blanks around, as long as one may be. */
timesync.plainText = (text) => [...text.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, " ").trim()].slice(0, 255).join("").trim();

/** What is wrong with a name for an interpreter, as timesync_xr/interpret/answers.py sees it. */
timesync.nameProblem = (who) => {
  if (!who) return "Type your name first";
  if (/[<>:"/\\|?*\p{C}]/u.test(who) || /^[=+@.\s-]|[.\s]$/u.test(who) || new TextEncoder().encode(who).length > 60 ||
    /^(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)/i.test(who)) {
    return "This name can't name a file: use letters and digits";
  }
  return "";
};
