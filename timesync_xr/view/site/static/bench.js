"use strict";
// The desk beside a plot: its vertices and segments, and the palette by which they are labelled.

/**
 * `desk` has site, plot, rows, keeper and legend; `on.choose(row)` shows an observation,
 * `on.chosen()` tells the one that is shown, `on.change()` hears that vertices or days changed.
 */
timesync.Bench = class {
  static TEXT = {
    dominant_landuse: "Land use", dominant_landcover: "Land cover", change_process: "Process",
  };
  static KIND = { dominant_landuse: "landuse", dominant_landcover: "landcover", change_process: "process" };
  static CHOICES = { date_confidence: ["high", "medium", "low"], label_confidence: ["high", "medium", "low"], relative_magnitude: ["low", "medium", "high"] };

  constructor(node, desk, on) {
    Object.assign(this, { node, ...desk, on, acts: [], others: [], question: null, isLabelling: false, isMore: false });
    this.byDay = new Map(this.rows.map((row) => [row.day, row]).reverse());
    this.made = timesync.answers.interpret([]);
    this.keeper.channel.onmessage = () => this.load();
    addEventListener("focus", () => { if (this.keeper.who) this.load(); });
  }

  /** Read what others said, to judge it. */
  async loadOthers() {
    try {
      this.others = await this.keeper.others(this.plot.project, this.plot.plot);
    } catch (error) {
      this.tell("lost", `The answers of others can't be read: ${error.message}`);
    }
    this.draw();
    this.on.change();
  }

  /** Take another's answer as one's own, to go on from. */
  take(who, made) {
    const vertices = made.days().map((day) => ({ day, ...made.vertices.get(day) }));
    return this.do("replace", { vertices, plot_texts: { ...made.texts }, choices: { ...made.choices }, source: who });
  }

  /** Answers of others side by side; labels that differ are marked. */
  drawOthers() {
    const { element } = timesync;
    if (!this.others.length) return "";
    const said = (made, day, name) => made.vertices.get(day)?.[name] ?? "";
    const differs = (day, name) => new Set(this.others.map(([, made]) => said(made, day, name))).size > 1;
    const label = (made, day, name) => element("span", {
      class: `said ${differs(day, name) ? "differs" : ""}`, title: differs(day, name) ? "they differ here" : null,
    }, said(made, day, name) || "none");
    const column = ([who, made], number) => element("section", { class: `other other-${number % 3}`, "aria-label": `Answer of ${who}` },
      element("h3", {}, element("span", { "aria-hidden": "true" }, "■ "), who),
      ...(made.days().length ? made.days().flatMap((day, i) => [
        ...(i ? [element("p", { class: "segment" }, label(made, day, "change_process"))] : []),
        element("p", { class: "vertex" }, element("b", {}, day), " ", label(made, day, "dominant_landuse"), " ", label(made, day, "dominant_landcover")),
      ]) : [element("p", { class: "hint" }, "nothing said")]),
      ...(made.texts.comment ? [element("p", {}, made.texts.comment)] : []),
      ...(made.days().length ? [element("button", { type: "button", "data-focus": `take ${who}`, click: () => this.take(who, made) }, `Take ${who}'s`)] : []));
    return element("div", { class: "others" }, ...this.others.map(column));
  }

  /** Read what was said of this plot; again when another window may have said more. */
  async load() {
    if (this.keeper.who) {
      try {
        const acts = await this.keeper.acts(this.plot.project, this.plot.plot);
        const known = new Set(this.acts.map((act) => act.id));
        if (known.size && acts.every((act) => known.has(act.id))) return; // nothing new: what is being typed stays
        this.acts = timesync.answers.inOrder([...acts, ...this.acts]);
      } catch (error) {
        this.tell("lost", `Your answers can't be read: ${error.message}`);
      }
    }
    this.redo();
  }

  /** Work out what the acts come to, and show it. */
  redo() {
    this.made = timesync.answers.interpret(this.acts);
    if (!this.made.days().length) {
      this.made.vertices = new Map(this.ends().map((day) => [day, {}]));
    }
    const { question } = this;
    if (question && !this.made.vertices.has(question.day)) this.question = null;
    this.draw();
    this.on.change();
  }

  get days() {
    return this.keeper.who ? this.made.days() : [];
  }

  /** The ends of the record: the first and the last annual choice, or observation. */
  ends() {
    const pool = this.rows.some((row) => row.annual) ? this.rows.filter((row) => row.annual) : this.rows;
    return [...new Set([pool[0].day, pool.at(-1).day])];
  }

  /** Do something: it is kept before it counts as said. */
  async do(what, body) {
    const acts = [];
    const add = (name, more) => {
      const seq = 1 + [...this.acts, ...acts].reduce((most, act) => Math.max(most, act.seq), 0);
      acts.push({
        v: 1, id: timesync.newId(), seq, at: new Date().toISOString(), who: this.keeper.who,
        project: this.plot.project, plot: this.plot.plot, legend: this.legend.digest, tool: "pages", do: name, ...more,
      });
    };
    if (!timesync.answers.interpret(this.acts).days().length) {
      const { day, item_ids: items, processed } = this.plot.observations;
      const chips = timesync.digest(JSON.stringify([day, items, processed]));
      add("start", { vertices: this.ends().map((end) => ({ day: end })), chips });
    }
    add(what, body);
    this.acts = [...this.acts, ...acts];
    this.redo();
    const left = timesync.answers.missing(this.made).length;
    const state = [this.made.days().length, left, this.made.texts.is_example === "1"];
    await this.keeper.keep(acts, state, this.legend);
  }

  /** A vertex at the observation that is shown; one that is there goes. */
  toggleVertex(row = this.on.chosen()) {
    const days = this.made.days();
    if (days.includes(row.day)) {
      if (row.day === days[0] || row.day === days.at(-1)) return this.tell("", "The first and the last vertex stay; m moves them");
      return this.do("remove", { day: row.day });
    }
    if (row.day < days[0] || row.day > days.at(-1)) return this.tell("", "Outside of the record: move its first or last vertex by m");
    this.question = { day: row.day, name: "change_process" };
    return this.do("vertex", { day: row.day });
  }

  /** Move the vertex of the question, or the one nearest in time, to the observation shown. */
  moveVertex() {
    const to = this.on.chosen();
    const days = this.made.days();
    const far = (day) => Math.abs(Date.parse(day) - Date.parse(to.day));
    const day = this.question?.day ?? days.reduce((a, b) => (far(b) < far(a) ? b : a));
    const at = days.indexOf(day);
    if ((at > 0 && days[at - 1] >= to.day) || (at + 1 < days.length && to.day >= days[at + 1])) {
      return this.tell("", "A vertex is moved between its neighbours only");
    }
    if (day === to.day) return undefined;
    if (this.question) this.question.day = to.day;
    return this.do("move", { day, to: to.day });
  }

  /** Take the last thing back that was said here, or say it again. */
  undo() {
    const last = timesync.answers.inForce(this.acts).filter((act) => act.do !== "start").at(-1);
    return last ? this.do("undo", { act: last.id }) : this.tell("", "There is nothing to undo");
  }

  redoLast() {
    const undone = new Set(this.acts.filter((act) => act.do === "undo").map((act) => act.act));
    const last = timesync.answers.inOrder(this.acts).filter((act) => act.do === "undo" && !undone.has(act.id)).at(-1);
    const isNewest = last && last.seq === this.acts.reduce((most, act) => Math.max(most, act.seq), 0);
    return isNewest ? this.do("undo", { act: last.id }) : this.tell("", "There is nothing to do again");
  }

  /** The day shown for its year, in place of the rule's; once more: the rule's again. */
  chooseDay() {
    const { year, day } = this.on.chosen();
    return this.do("choose", { year, day: this.made.choices[year] === day ? "" : day });
  }

  /** All questions in the order of time. */
  questions() {
    return this.made.days().flatMap((day, i) =>
      [...(i ? ["change_process"] : []), "dominant_landuse", "dominant_landcover"].map((name) => ({ day, name })));
  }

  isSame(a, b) {
    return a?.day === b?.day && a?.name === b?.name;
  }

  /** Begin to label, at what is missing first. */
  startLabelling(question) {
    const isOpen = (one) => !this.made.vertices.get(one.day)[one.name];
    this.question = question ?? this.questions().find(isOpen) ?? this.questions()[0];
    this.isLabelling = true;
    this.show();
    this.draw();
  }

  stopLabelling() {
    this.isLabelling = false;
    this.draw();
  }

  show() {
    const row = this.byDay.get(this.question?.day);
    if (row) this.on.choose(row);
  }

  /** On to the next label that is missing, after this one first. */
  advance() {
    const all = this.questions();
    const at = all.findIndex((one) => this.isSame(one, this.question));
    const next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find((one) => !this.made.vertices.get(one.day)[one.name]);
    this.question = next ?? null;
    if (!next) this.isLabelling = false;
    else this.show();
    this.draw();
  }

  async pick(label) {
    const { day, name } = this.question;
    const isNew = this.made.vertices.get(day)[name] !== label.name;
    const kept = this.do("label", { day, set: { [name]: label.name, ...(isNew ? { [`${name}_notes`]: "" } : {}) } });
    if (this.isLabelling) this.advance();
    await kept;
  }

  /** The label of the vertex before, where nothing changed. */
  asBefore() {
    const { day, name } = this.question ?? {};
    const days = this.made.days();
    const before = this.made.vertices.get(days[days.indexOf(day) - 1]);
    if (!before?.[name] || name === "change_process") return this.tell("", "There is no label before this one to repeat");
    const notes = `${name}_notes`;
    const kept = this.do("label", { day, set: { [name]: before[name], [notes]: before[notes] ?? "" } });
    if (this.isLabelling) this.advance();
    return kept;
  }

  toggleNote(note) {
    const { day, name } = this.question;
    const key = `${name}_notes`;
    const notes = (this.made.vertices.get(day)[key] ?? "").split("|").filter(Boolean);
    const after = notes.includes(note) ? notes.filter((one) => one !== note) : [...notes, note];
    return this.do("label", { day, set: { [key]: after.join("|") } });
  }

  labels(question = this.question) {
    return question ? this.legend[timesync.Bench.KIND[question.name]] : [];
  }

  /** Keys of the labels: 1 to 9, then letters. */
  static keyOf(position) {
    return position < 9 ? String(position + 1) : String.fromCharCode(88 + position);
  }

  /** Whether a key belongs to the desk; then it was done. */
  key(event) {
    if (!this.keeper.who) return false;
    const { key, code, shiftKey } = event;
    if (this.isLabelling) {
      const labels = this.labels();
      const at = labels.findIndex((_, i) => timesync.Bench.keyOf(i) === key);
      if (at >= 0) return this.pick(labels[at]), true;
      const said = labels.find(({ name }) => name === this.made.vertices.get(this.question.day)[this.question.name]);
      const note = shiftKey && code.startsWith("Digit") && said?.notes[Number(code.slice(5)) - 1];
      if (note) return this.toggleNote(note), true;
      if (key === " ") return this.asBefore(), true;
      if (key === "Escape") return this.stopLabelling(), true;
      if (key === "Tab") {
        const all = this.questions();
        const here = all.findIndex((one) => this.isSame(one, this.question));
        const next = all[here + (shiftKey ? -1 : 1)];
        if (!next) return false;
        this.startLabelling(next);
        return true;
      }
    }
    const keys = {
      v: () => this.toggleVertex(), m: () => this.moveVertex(), u: () => this.undo(), U: () => this.redoLast(),
      d: () => this.chooseDay(), l: () => this.startLabelling(),
    };
    if (!keys[key]) return false;
    keys[key]();
    return true;
  }

  tell(state, text) {
    this.told = { state, text };
    const node = this.node.querySelector(".told");
    if (!node) return;
    node.textContent = text;
    node.dataset.state = state;
  }

  draw() {
    const focused = document.activeElement?.dataset?.focus;
    if (!this.keeper.who) this.drawName();
    else this.drawDesk();
    if (focused && this.node.contains(document.activeElement) === false) this.node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  drawName() {
    const { element } = timesync;
    const input = element("input", { type: "text", id: "who", maxlength: 60, autocomplete: "off", placeholder: "your name" });
    const begin = (event) => {
      event.preventDefault();
      const who = input.value.trim();
      const problem = timesync.nameProblem(who);
      if (problem) return this.tell("lost", problem);
      this.keeper.setWho(who);
      return this.load();
    };
    this.node.replaceChildren(
      element("h2", { id: "bench-title" }, "Interpret this plot"),
      element("form", { class: "who", submit: begin }, element("label", {}, "Interpreter ", input), element("button", {}, "Begin")),
      element("p", { class: "hint" }, "Answers are kept in this browser; the list of plots gives them as a file."),
      element("p", { class: "told", role: "status" }));
  }

  drawDesk() {
    const { element } = timesync;
    const { missing, isComplete } = timesync.answers;
    const left = missing(this.made).length;
    const need = 3 * this.made.days().length - 1;
    const button = (key, text, title, click) => element("button", { type: "button", title: `${title} (${key})`, click, "data-focus": `tool ${key}` }, text, " ", element("kbd", {}, key));
    const isDone = isComplete(this.made);
    const state = this.told ?? { state: "", text: "" };
    this.node.replaceChildren(
      element("div", { class: "bench-head" },
        element("h2", { id: "bench-title" }, this.keeper.who),
        element("span", { class: `progress ${isDone ? "done" : ""}` }, isDone ? "✓ complete" : `${need - left} of ${timesync.counted(need, "label")}`),
        element("span", { class: "told", role: "status", "data-state": state.state }, state.text)),
      element("div", { class: "bench-tools" },
        button("v", "Vertex", "Vertex at the observation shown, or none", () => this.toggleVertex()),
        button("m", "Move", "Move the vertex to the observation shown", () => this.moveVertex()),
        button("d", "Day", "Take this day for its year", () => this.chooseDay()),
        button("u", "Undo", "Take the last thing back; U does it again", () => this.undo()),
        button("l", "Label", "Label by keys, from what is missing", () => this.startLabelling())),
      ...(this.keeper.waiting.size && !this.keeper.isServed ? [element("button", { type: "button", click: () => this.keeper.saveFile() }, "Save answers as a file")] : []),
      this.drawOthers(), this.drawCourse(), this.drawPalette(), this.drawMore());
  }

  /** Vertices and segments in the order of time. */
  drawCourse() {
    const { element } = timesync;
    const chip = (day, name) => {
      const text = this.made.vertices.get(day)[name];
      const question = { day, name };
      const notes = this.made.vertices.get(day)[`${name}_notes`];
      return element("button", {
        type: "button", class: `answer ${text ? "" : "open"}`, "aria-pressed": String(this.isSame(question, this.question)),
        title: `${timesync.Bench.TEXT[name]} of ${day}${notes ? `: ${notes.replaceAll("|", ", ")}` : ""}`, "data-focus": `${day} ${name}`,
        click: () => { this.question = question; this.isLabelling = false; this.show(); this.draw(); },
      }, text ? (notes ? `${text} *` : text) : timesync.Bench.TEXT[name]);
    };
    const days = this.made.days();
    const shown = this.on.chosen().day;
    const rows = days.flatMap((day, i) => [
      ...(i ? [element("li", { class: "segment" }, element("span", { class: "line", "aria-hidden": "true" }), chip(day, "change_process"))] : []),
      element("li", { class: `vertex ${day === shown ? "here" : ""}` }, element("button", {
        type: "button", class: "day", "data-focus": `${day} day`, click: () => { if (this.byDay.has(day)) this.on.choose(this.byDay.get(day)); },
      }, "◆ ", day), chip(day, "dominant_landuse"), chip(day, "dominant_landcover")),
    ]);
    return element("ol", { class: "course", "aria-label": "Vertices and segments" }, ...rows);
  }

  /** The labels of the question, each with its key, and the notes of what was said. */
  drawPalette() {
    const { element } = timesync;
    const { question } = this;
    if (!question) return element("p", { class: "hint" }, timesync.answers.missing(this.made).length
      ? "Choose an empty label above, or press l."
      : "All labels are given: choose one above to change it.");
    const said = this.made.vertices.get(question.day);
    const text = timesync.Bench.TEXT[question.name];
    const labels = this.labels().map((label, i) => element("button", {
      type: "button", class: "pick", "aria-pressed": String(said[question.name] === label.name), "data-focus": `pick ${i}`,
      click: () => this.pick(label),
    }, element("kbd", {}, timesync.Bench.keyOf(i)), " ", label.name));
    const chosen = this.labels().find(({ name }) => name === said[question.name]);
    const notes = (said[`${question.name}_notes`] ?? "").split("|");
    const noted = (chosen?.notes ?? []).map((note, i) => element("label", {}, element("input", {
      type: "checkbox", checked: notes.includes(note), "data-focus": `note ${i}`, change: () => this.toggleNote(note),
    }), ` ${note}`));
    const days = this.made.days();
    const at = days.indexOf(question.day);
    const of = question.name === "change_process" ? `${days[at - 1].slice(0, 4)} to ${question.day.slice(0, 4)}` : question.day;
    const repeat = question.name !== "change_process" && at > 0
      ? [element("button", { type: "button", class: "pick", "data-focus": "repeat", click: () => this.asBefore() }, element("kbd", {}, "space"), " as before")] : [];
    return element("fieldset", { class: `palette ${this.isLabelling ? "keys" : ""}` },
      element("legend", {}, `${text}, ${of}`),
      element("div", { class: "picks" }, ...labels, ...repeat),
      ...(noted.length ? [element("div", { class: "notes", role: "group", "aria-label": "Notes" }, ...noted)] : []));
  }

  /** What is said less often: of the vertex, and of the plot. */
  drawMore() {
    const { element } = timesync;
    const day = this.question?.day ?? (this.made.vertices.has(this.on.chosen().day) ? this.on.chosen().day : null);
    const said = day ? this.made.vertices.get(day) : {};
    const field = (texts, name, title, save) => {
      const choices = timesync.Bench.CHOICES[name];
      const change = (event) => save({ [name]: timesync.plainText(event.target.value) });
      const attributes = { "data-focus": `more ${name}`, change };
      const input = choices
        ? element("select", attributes, ...["", ...choices].map((one) => element("option", { value: one, selected: one === (texts[name] ?? "") }, one)))
        : element("input", { ...attributes, type: "text", maxlength: 255, value: texts[name] ?? "" });
      return element("label", {}, title, input);
    };
    const check = (name, title) => element("label", { class: "check" }, element("input", {
      type: "checkbox", checked: this.made.texts[name] === "1", "data-focus": `more ${name}`, change: (event) => this.do("plot", { set: { [name]: event.target.checked ? "1" : "" } }),
    }), ` ${title}`);
    const vertex = (name, title) => field(said, name, title, (texts) => this.do("label", { day, set: texts }));
    const second = (name, title) => {
      const options = ["", ...this.legend[name.includes("landuse") ? "landuse" : "landcover"].map((label) => label.name)];
      const many = name.includes("landcover");
      const texts = (said[name] ?? "").split("|");
      const change = (event) => this.do("label", { day, set: { [name]: [...event.target.selectedOptions].map((o) => o.value).filter(Boolean).join("|") } });
      return element("label", {}, title, element("select", { multiple: many, size: many ? 3 : null, change, "data-focus": `more ${name}` },
        ...(many ? options.slice(1) : options).map((one) => element("option", { value: one, selected: texts.includes(one) }, one))));
    };
    const plot = (name, title) => field(this.made.texts, name, title, (texts) => this.do("plot", { set: texts }));
    return element("details", { class: "more", open: this.isMore, toggle: (event) => { this.isMore = event.target.open; } },
      element("summary", {}, "More of this vertex and plot"),
      ...(day ? [element("div", { class: "fields" }, element("h3", {}, `Vertex ${day}`),
        second("secondary_landuse", "Second land use"), second("secondary_landcover", "Other land covers"),
        vertex("date_confidence", "Confidence of the date"), vertex("label_confidence", "Confidence of the labels"),
        vertex("patch_size", "Patch size"), vertex("relative_magnitude", "Magnitude"), vertex("comments", "Comment"))] : []),
      element("div", { class: "fields" }, element("h3", {}, "Plot"), plot("comment", "Comment"), plot("uncertainty", "Uncertainty"),
        check("is_example", "example"), check("is_wetland", "wetland")));
  }
};
