"use strict";
// What an interpreter did becomes an interpretation: the rules of timesync_xr/interpret/answers.py,
// for the pages. The same acts come to the same in whatever order they are, and no clock is asked.

timesync.answers = (() => {
  const NEEDED = ["dominant_landuse", "dominant_landcover", "change_process"];
  const byText = (a, b) => (a < b ? -1 : Number(a > b));

  /** Acts by their number, then by their id; each once. */
  const inOrder = (acts) => [...new Map(acts.map((act) => [act.id, act])).values()]
    .sort((a, b) => a.seq - b.seq || byText(a.id, b.id));

  /** The acts that were not undone; an undoing may itself be undone. */
  function inForce(acts) {
    const undone = new Set();
    const kept = [];
    for (const act of inOrder(acts).reverse()) {
      if (undone.has(act.id)) continue;
      if (act.do === "undo") undone.add(act.act);
      else kept.push(act);
    }
    return kept.reverse();
  }

  const set = (texts, more) => {
    for (const [name, text] of Object.entries(more)) {
      if (text) texts[name] = text;
      else delete texts[name];
    }
  };

  const DO = {
    start: (made, act) => {
      if (made.days().length) return;
      made.vertices = new Map(act.vertices.map(({ day }) => [day, {}]));
    },
    replace: (made, act) => {
      const said = ({ day, ...texts }) => [day, Object.fromEntries(Object.entries(texts).filter(([, text]) => text))];
      if (act.vertices.length) made.vertices = new Map(act.vertices.map(said));
      made.texts = Object.fromEntries(Object.entries(act.plot_texts).filter(([, text]) => text));
      made.choices = { ...act.choices };
    },
    vertex: (made, { day }) => {
      const days = made.days();
      if (days.length && days[0] < day && day < days.at(-1) && !made.vertices.has(day)) made.vertices.set(day, {});
    },
    remove: (made, { day }) => {
      if (made.days().slice(1, -1).includes(day)) made.vertices.delete(day);
    },
    move: (made, { day, to }) => {
      const days = made.days();
      const at = days.indexOf(day);
      if (at < 0 || (at > 0 && days[at - 1] >= to) || (at + 1 < days.length && to >= days[at + 1])) return;
      const texts = made.vertices.get(day);
      made.vertices.delete(day);
      made.vertices.set(to, texts);
    },
    label: (made, act) => {
      if (made.vertices.has(act.day)) set(made.vertices.get(act.day), act.set);
    },
    plot: (made, act) => set(made.texts, act.set),
    choose: (made, { year, day }) => set(made.choices, { [year]: day }),
  };

  /** What acts come to: vertices (a map of days), texts, choices. */
  function interpret(acts) {
    const made = { vertices: new Map(), texts: {}, choices: {}, days: () => [...made.vertices.keys()].sort() };
    for (const act of inForce(acts)) DO[act.do](made, act);
    return made;
  }

  /** The labels that are needed and not there, as [day, name]. */
  const missing = (made) => made.days().flatMap((day, i) => NEEDED
    .filter((name) => (i || name !== "change_process") && !made.vertices.get(day)[name])
    .map((name) => [day, name]));

  const isComplete = (made) => made.days().length > 1 && !missing(made).length;

  return { NEEDED, inOrder, inForce, interpret, missing, isComplete };
})();
