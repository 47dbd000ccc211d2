// The side of the page, continued: what has changed, scores and risks, in the words of the report.

import { el } from "./page.js";

const percent = (v) => `${Math.round(100 * v)} %`;
export const signed = (v) => { const size = Math.abs(v).toFixed(1); return Number(size) ? `${v < 0 ? "−" : "+"}${size}` : size; };
const section = (id, ...children) => document.getElementById(id)?.replaceChildren(...children.filter(Boolean));

/** A bar to the right of a middle line for what adds, to the left for what takes away. */
export function contribution(name, value, most, shown) {
  const bar = el("i", { "class": value < 0 ? "less" : "more" });
  const share = 50 * Math.min(Math.abs(value) / most, 1);
  bar.style.width = `${share}%`;
  bar.style.left = `${value < 0 ? 50 - share : 50}%`;
  return el("div", { "class": "part" }, el("span", {}, name), el("span", { "class": "balance" }, bar), el("span", { "class": "n" }, shown));
}

export function drawTold(findings) {
  const { told } = findings.data.result;
  drawChanges(findings, told.changes);
  drawScores(told.scores);
  drawRisk(told.risk ?? {});
  drawEarly(findings, told.early ?? {});
}

function drawChanges(findings, changes) {
  if (!changes?.verdicts && !changes?.reason) return section("changes");
  const since = changes.days === null ? "time not known" : `${changes.days} days`;
  const head = el("h2", {}, "Since the prior study", el("small", {}, since));
  if (!changes.assessable) return section("changes", head, el("p", { "class": "quiet" }, `Not assessable: ${changes.reason}.`));
  const rows = changes.rows.map((row) => {
    const moved = row.numbers.filter(([, , , changed]) => changed), still = row.numbers.filter(([, , , changed]) => !changed);
    const list = (numbers) => numbers.map(([name, values, verdict]) => el("div", {}, el("dt", {}, name), el("dd", {}, values, el("small", {}, verdict))));
    const name = row.lesion === null ? `prior ${row.prior_lesion}` : String(row.lesion);
    return el("details", { "class": "fold" },
      el("summary", { onclick: () => { if (row.lesion !== null) findings.choose(`lesion-${row.lesion}`); } }, el("span", {}, el("strong", {}, name), ` ${row.level} `, el("small", {}, row.status)), el("b", {}, row.category)),
      row.caution ? el("p", { "class": "caution" }, `${row.caution}.`) : "", el("dl", { "class": "facts" }, ...list(moved), ...list(still)));
  });
  section("changes", head, ...rows, ...changes.verdicts.map(criteria),
    changes.heights ? el("p", { "class": "quiet" }, `Height of bodies: ${changes.heights}.`) : null);
}

function criteria(verdict) {
  return el("details", { "class": "fold" },
    el("summary", {}, el("span", {}, verdict.name), el("b", {}, verdict.category)),
    el("ul", {}, ...verdict.facts.map((fact) => el("li", {}, fact))), source(verdict));
}

function source(line) {
  const said = [line.note, line.verified ? "" : "table not verified", line.reference].filter(Boolean).join(". ");
  return el("p", { "class": "quiet" }, said);
}

function score(line) {
  const value = /^\d/.test(line.value) && !line.category ? `grade ${line.value}` : [line.value, line.category].filter(Boolean).join(", ") || "not assessable";
  const items = line.items.map(([name, found, points, note]) => el("div", { "class": found === "not known" ? "open" : "" },
    el("dt", {}, name), el("dd", {}, found, note ? el("small", {}, note) : "", points ? el("span", { "class": "points" }, points) : "")));
  return el("details", { "class": `fold${line.serious ? " serious" : ""}` },
    el("summary", {}, el("span", {}, line.name, line.place ? el("small", {}, line.place) : ""), el("b", {}, value)),
    el("dl", { "class": "facts" }, ...items), source(line));
}

function drawScores(scores) {
  const lines = [...scores.placed, ...scores.fractures, ...scores.noms, ...scores.patient];
  const heights = scores.n_heights && !scores.fractures.length ? el("p", { "class": "quiet" }, `None of ${scores.n_heights} bodies has lost a fifth of its height (Genant).`) : null;
  section("scores", el("h2", {}, "Scores", el("small", {}, "facts, no advice; an interval is still open")), heights, ...lines.map(score),
    lines.length || heights ? null : el("p", { "class": "quiet" }, "None were given."));
}

function drawRisk(risk) {
  const head = el("h2", {}, "Risk", risk.learned_from ? el("small", {}, `from ${risk.learned_from}`) : "");
  if (!risk.events) return section("risk", head, el("p", { "class": "quiet" }, "Not estimated for this study."));
  if (risk.not_assessable) return section("risk", head, el("p", { "class": "quiet" }, `Not assessable: ${risk.not_assessable}.`));
  const table = el("table", { "class": "found still" },
    el("thead", {}, el("tr", {}, el("th", {}, "Before any other event"), ...risk.times.map((t) => el("th", { "class": "r" }, `${t} months`)))),
    el("tbody", {}, ...risk.events.map((e) => el("tr", {}, el("td", {}, e.name), ...e.cells.map((cell) => {
      const [value, interval] = cell.split(" (");
      return el("td", { "class": "r" }, value, interval ? el("small", {}, interval.replace(")", "")) : "");
    })))));
  const why = risk.events.map((e) => {
    const most = Math.max(...e.parts.map(([, part]) => Math.abs(part)), 0.01);
    const sum = e.parts.reduce((s, [, part]) => s + part, e.typical);
    return el("details", { "class": "fold" },
      el("summary", {}, el("span", {}, "Why: ", e.name), el("b", {}, `by ${e.months} months`)),
      el("div", { "class": "part" }, el("span", {}, "the typical patient"), el("span"), el("span", { "class": "n" }, percent(e.typical))),
      ...e.parts.map(([name, part]) => contribution(name, part, most, signed(100 * part))),
      el("div", { "class": "part sum" }, el("span", {}, "this patient"), el("span"), el("span", { "class": "n" }, percent(sum))));
  });
  const said = [risk.modalities, risk.missing ? `Not known, and taken as typical: ${risk.missing}` : "", "Below each risk stands the 95 % interval of its estimation"].filter(Boolean).join(". ");
  section("risk", head, table, ...why, el("p", { "class": "quiet" }, `${said}.`));
}

function drawEarly(findings, early) {
  if (!early.learned_from) return section("early");
  const head = el("h2", {}, "Early disease", el("small", {}, `from ${early.learned_from}`));
  if (early.not_assessable) return section("early", head, el("p", { "class": "quiet" }, `Not assessable: ${early.not_assessable}.`));
  const rows = early.rows.map((row) => {
    const bar = el("i");
    bar.style.width = `${100 * (row.probability ?? 0)}%`;
    const go = row.instance === undefined ? null : () => findings.choose(`vertebra-${row.instance}`);
    return el("tr", { onclick: go, title: row.signs ? `Most unusual: ${row.signs}` : "" },
      el("td", {}, el("strong", {}, row.level)), el("td", {}, row.suspicious ? el("strong", {}, row.says) : row.says),
      el("td", { "class": "r" }, row.probability === null ? "" : el("span", { "class": "pip" }, bar), row.probability === null ? "" : row.probability.toFixed(2)));
  });
  section("early", head, el("table", { "class": "found" }, el("tbody", {}, ...rows)),
    el("p", { "class": "quiet" }, `Disease too small to be outlined, told by the marrow beside that of its neighbors and by what has changed since ${early.since}. Learned from simulation alone.`));
}
