// The side of the page: what was found, how sure it is and why, and what the reader says to it.

import { el, post, toast } from "./page.js";
import { contribution, drawTold, signed } from "./told.js";

const CLASSES = ["malignant", "benign", "normal"];
const SCALES = { agreement: "I agree with this finding", interpretability: "I understand why", clinical_relevance: "It matters for care" };
const LEVELS = [..."1234567"].map((n) => `C${n}`).concat([...Array(13)].map((_, n) => `T${n + 1}`), [..."123456"].map((n) => `L${n}`), [..."12345"].map((n) => `S${n}`));
const SEVERITY = { info: "Note", warning: "Caution", error: "Problem" };
const two = (v) => v.toFixed(2);
const words = (text) => text.replaceAll("_", " ");
const sureness = (u) => (u < 0.33 ? "low" : u < 0.66 ? "moderate" : "high");
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export class Findings {
  constructor(data, viewer) {
    this.data = data;
    this.viewer = viewer;
    this.all = false;
    this.list = [
      ...data.result.lesions.map((f) => ({ ...f, id: `lesion-${f.id}`, kind: "Lesion", number: f.id })),
      ...data.result.vertebrae.map((f) => ({ ...f, id: `vertebra-${f.instance}`, kind: "Vertebra", number: f.instance })),
    ];
  }

  place(finding) {
    const vertebra = finding.kind === "Vertebra" ? finding : this.data.result.vertebrae.find((v) => v.instance === finding.vertebra_instance);
    return vertebra ? this.viewer.study.level(vertebra) : finding.level ?? (finding.compartment === "bone" ? "bone without a level" : "outside bone");
  }

  told(f) { return this.data.result.told.findings[f.id]; }

  /** The subtype where one class is left; else the likeliest class, and that it cannot be told. */
  mostLike(f) {
    if (f.prediction_set.length === 1 || f.subtype === null) return [f.subtype_words];
    const classes = CLASSES.filter((c) => c in f.probabilities).sort((a, b) => f.probabilities[b] - f.probabilities[a]);
    return [classes[0] ?? f.subtype_words, el("small", {}, "indeterminate")];
  }

  mine(id, of = "reviews") { return (this.data[of] ?? []).find((r) => r.finding === id && r.user_name === this.data.user); }

  draw() {
    this.drawSummary();
    this.drawTable();
    drawTold(this);
    this.drawQuality();
  }

  drawSummary() {
    const { headline, sentences } = this.data.result.told;
    document.getElementById("summary").replaceChildren(el("h1", {}, headline), ...sentences.map((s) => el("p", {}, s)));
  }

  drawTable() {
    const box = document.getElementById("findings");
    const doubtful = (f) => f.kind === "Lesion" || this.all || f.subtype !== "normal" && f.subtype !== null || f.id === this.viewer.chosen;
    const shown = this.list.filter(doubtful);
    const rows = shown.map((f, n) => {
      const p = f.probabilities.malignant;
      const bar = el("i");
      bar.style.width = `${100 * (p ?? 0)}%`;
      const said = this.mine(f.id)?.verdict;
      return el("tr", { "data-finding": f.id, "class": [f.id === this.viewer.chosen && "chosen", f.subtype === "normal" && f.kind === "Vertebra" && "normal"].filter(Boolean).join(" "), onclick: () => this.choose(f.id) },
        el("td", {}, f.kind === "Lesion" ? String(f.number) : ""), el("td", {}, el("strong", {}, this.place(f))),
        el("td", { title: this.told(f).opinion }, ...this.mostLike(f)), el("td", { "class": "r" }, f.kind === "Lesion" ? `${f.longest_diameter_mm.toFixed(0)} mm` : ""),
        el("td", {}, p === undefined ? "" : el("span", { "class": "pip" }, bar), p === undefined ? "" : two(p)),
        el("td", { "class": `verdict ${said ?? ""}` }, said ? `${said}ed` : ""));
    });
    const missed = (this.data.reviews ?? []).filter((r) => r.verdict === "missed" && r.user_name === this.data.user).map((r) =>
      el("tr", { "data-finding": r.finding, onclick: () => this.viewer.goTo(r.correction.point_lps_mm) }, el("td", {}, "+"), el("td", {}, el("strong", {}, r.correction.level ?? "")), el("td", { colSpan: 3 }, r.correction.finding_class ?? "missed finding", r.comment ? `: ${r.comment}` : ""), el("td", { "class": "verdict correct" }, "added")));
    const head = el("tr", {}, ...["", "Level", "Most like", "", "Malignant", ""].map((t) => el("th", {}, t)));
    const nVertebrae = this.data.result.vertebrae.length;
    box.replaceChildren(
      el("h2", {}, "Findings", el("small", {}, "click to go there")),
      el("table", { "class": "found" }, el("thead", {}, head), el("tbody", {}, ...rows, ...missed)),
      nVertebrae ? el("button", { type: "button", "class": "quiet", onclick: () => { this.all = !this.all; this.drawTable(); } }, this.all ? "Only what stands out" : `All ${nVertebrae} vertebrae`) : "",
      this.data.may_review ? el("button", { type: "button", "class": "quiet", onclick: () => this.addMissed() }, "Add a missed finding") : "");
    this.shown = shown;
  }

  choose(id) {
    const finding = this.list.find((f) => f.id === id);
    if (!finding) return;
    this.viewer.chosen = id;
    const label = finding.kind === "Lesion" ? "lesions" : "structures";
    this.viewer.goTo(this.viewer.study.bestPoint(label, finding.number, finding.centroid_lps_mm));
    this.drawTable();
    this.drawDetail(finding);
    document.querySelector(`tr[data-finding="${id}"]`)?.scrollIntoView({ block: "nearest" });
  }

  step() {
    const index = this.shown.findIndex((f) => f.id === this.viewer.chosen);
    if (this.shown.length) this.choose(this.shown[(index + 1) % this.shown.length].id);
  }

  drawDetail(f) {
    const box = document.getElementById("detail");
    box.hidden = false;
    const stack = el("div", { "class": "stack" });
    const key = el("div", { "class": "key" });
    for (const name of CLASSES.filter((c) => c in f.probabilities)) {
      const part = el("i", { "class": name });
      part.style.width = `${100 * f.probabilities[name]}%`;
      stack.append(part);
      key.append(el("span", {}, el("i", { "class": name }), `${name} ${two(f.probabilities[name])}`));
    }
    box.replaceChildren(
      el("h2", {}, f.kind === "Lesion" ? `Lesion ${f.number}` : "Vertebra", el("span", {}, this.place(f)), el("button", { type: "button", "class": "quiet", title: "Close", onclick: () => this.close() }, "✕")),
      Object.keys(f.probabilities).length ? stack : "", key, this.facts(f), this.why(f), ...(this.data.may_review ? this.opinions(f) : []));
  }

  close() {
    this.viewer.chosen = null;
    document.getElementById("detail").hidden = true;
    this.drawTable();
    this.viewer.drawSoon();
  }

  facts(f) {
    const track = (v) => { const bar = el("i"); bar.style.width = `${100 * v}%`; return el("span", { "class": "track" }, bar); };
    const rows = [];
    const add = (name, ...value) => rows.push(el("div", {}, el("dt", {}, name), el("dd", {}, ...value)));
    if (f.kind === "Lesion") {
      add("Confidence that it is a lesion", track(f.confidence), two(f.confidence));
      add("Uncertainty of the class", track(f.uncertainty), `${two(f.uncertainty)} ${sureness(f.uncertainty)}`);
      add("Longest diameter", `${f.longest_diameter_mm.toFixed(1)} mm`);
      add("Volume", `${(f.volume_mm3 / 1000).toFixed(2)} mL`);
      if (f.compartment) add("Compartment", f.compartment);
      for (const [name, value, note] of this.told(f).measurements) add(capital(name), value, note ? el("small", {}, note) : "");
      add("Seen on", f.sequences_used.join(", "));
    } else {
      add("Level probability", track(f.level_probability), two(f.level_probability));
      if (f.uncertainty !== null && f.uncertainty !== undefined) add("Uncertainty of the class", track(f.uncertainty), `${two(f.uncertainty)} ${sureness(f.uncertainty)}`);
      add("Volume of the body", `${(f.volume_mm3 / 1000).toFixed(1)} mL`);
      if (this.told(f).remarks) add("Remarks", this.told(f).remarks);
    }
    return el("dl", { "class": "facts" }, ...rows);
  }

  why(f) {
    const top = Object.entries(f.subtype_probabilities ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 3);
    if (!top.length) return "";
    const cannot = f.prediction_set.length === 1 ? `Everything but ${f.prediction_set[0]} can be ruled out at the promised error rate.`
      : f.prediction_set.length ? `Indeterminate: ${f.prediction_set.join(" or ")} cannot be told apart at the promised error rate.` : "Like nothing the software knows.";
    const maps = this.viewer.study.manifest.maps.map((m) => m.name);
    const ask = [maps.includes("saliency") && "S shows where the images speak for malignancy", maps.includes("uncertainty") && "U where the software is unsure"].filter(Boolean).join(", ");
    return el("div", { "class": "why" }, el("p", {}, `Most like ${top.map(([name, p]) => `${words(name)} (${two(p)})`).join(", ")}.`), el("p", {}, cannot), ...this.evidence(f), ask ? el("p", {}, `${ask}.`) : "");
  }

  /** How much each series speaks for the lesion, as bars. */
  evidence(f) {
    const { evidence = [], inside_percent: inside } = this.told(f);
    if (!evidence.length) return [];
    const most = Math.max(...evidence.map(([, fall]) => Math.abs(fall)), 0.5);
    const rows = evidence.map(([name, fall]) => contribution(name, fall, most, signed(fall)));
    return [el("h3", { title: "Fall of the log-odds of a lesion where the series is made plain" }, "What each series adds", el("small", {}, "log-odds")), ...rows,
      inside === null ? "" : el("p", {}, `${Math.round(inside)} % of what places add lies inside the outline.`)];
  }

  opinions(f) {
    const mine = this.mine(f.id);
    const verdict = (name, label, key) => el("button", { type: "button", "data-verdict": name, "aria-pressed": String(mine?.verdict === name), onclick: () => this.judge(f, name) }, label, " ", el("kbd", {}, key));
    const others = mine ? (this.data.reviews ?? []).filter((r) => r.finding === f.id && r.user_name !== this.data.user) : [];
    return [
      el("div", { "class": "verdicts" }, verdict("accept", "Accept", "A"), verdict("reject", "Reject", "R"), verdict("correct", "Correct", "C")),
      this.correction(f, mine), this.ratings(f),
      mine ? el("ul", { "class": "others" }, ...others.map((r) => el("li", {}, `${r.user_name} (${r.specialty}): ${r.verdict}${r.comment ? `, ${r.comment}` : ""}`))) : el("p", { "class": "others" }, "What others say is shown after your verdict."),
    ];
  }

  correction(f, mine) {
    const given = mine?.verdict === "correct" ? mine.correction : {};
    const select = (name, values, now) => el("select", { name }, el("option", { value: "" }, "as it is"), ...values.map((v) => el("option", { value: v, selected: v === now }, v)));
    const form = el("form", { "class": "correct", hidden: mine?.verdict !== "correct", onsubmit: (event) => { event.preventDefault(); this.send(f, "correct", form); } },
      el("label", {}, "Level", select("level", LEVELS, given.level)), el("label", {}, "Class", select("finding_class", CLASSES, given.finding_class)),
      el("label", { "class": "wide" }, "What is right", el("textarea", { name: "comment", rows: 2, maxLength: 4000 }, mine?.comment ?? "")),
      el("button", { "class": "main wide" }, "Keep the correction"));
    this.correcting = form;
    return form;
  }

  judge(f, verdict) {
    if (verdict === "correct") {
      this.correcting.hidden = false;
      this.correcting.querySelector("select").focus();
    } else this.send(f, verdict, null);
  }

  async send(f, verdict, form) {
    const data = form ? new FormData(form) : new FormData();
    const correction = {};
    for (const name of ["level", "finding_class"]) if (data.get(name)) correction[name] = data.get(name);
    await this.keep("reviews", { finding: f.id, verdict, correction, comment: data.get("comment") ?? "" }, f);
  }

  ratings(f) {
    const now = this.mine(f.id, "feedback") ?? {};
    const form = el("form", { "class": "rate", onsubmit: (event) => {
      event.preventDefault();
      const data = new FormData(form);
      const said = Object.fromEntries(Object.keys(SCALES).map((s) => [s, data.get(s) ? Number(data.get(s)) : null]));
      this.keep("feedback", { finding: f.id, comment: data.get("comment"), ...said }, f);
    } });
    for (const [scale, text] of Object.entries(SCALES)) {
      const points = [1, 2, 3, 4, 5].map((k) => el("label", { title: ["strongly disagree", "disagree", "neither", "agree", "strongly agree"][k - 1] }, el("input", { type: "radio", name: scale, value: String(k), checked: now[scale] === k }), el("span", {}, String(k))));
      form.append(el("div", { "class": "row" }, el("span", {}, text), el("span", { "class": "likert", role: "radiogroup", "aria-label": text }, ...points)));
    }
    form.append(el("label", { "class": "comment" }, "Comment", el("textarea", { name: "comment", rows: 1, maxLength: 4000 }, now.comment ?? "")), el("button", {}, `Keep the rating as ${this.data.specialty}`));
    return form;
  }

  async keep(what, said, f) {
    try {
      const told = await post(`/api/studies/${this.data.study_key}/${what}`, { result_sha256: this.data.result_sha256, ...said });
      const row = { ...said, user_name: this.data.user, specialty: this.data.specialty };
      this.data[what] = [...this.data[what].filter((r) => r.finding !== said.finding || r.user_name !== this.data.user), row];
      toast(told.message);
      this.drawTable();
      if (f) this.drawDetail(f);
    } catch (error) {
      toast(error.message, true);
    }
  }

  addMissed() {
    const box = document.getElementById("detail");
    const number = 1 + Math.max(0, ...this.data.reviews.filter((r) => r.verdict === "missed").map((r) => Number(r.finding.split("-")[1])));
    const form = el("form", { "class": "correct", onsubmit: async (event) => {
      event.preventDefault();
      const data = new FormData(form);
      const correction = { point_lps_mm: this.viewer.point, finding_class: data.get("finding_class") };
      if (data.get("level")) correction.level = data.get("level");
      await this.keep("reviews", { finding: `missed-${number}`, verdict: "missed", correction, comment: data.get("comment") }, null);
      box.hidden = true;
    } },
      el("label", {}, "Level", el("select", { name: "level" }, el("option", { value: "" }, "not known"), ...LEVELS.map((v) => el("option", {}, v)))),
      el("label", {}, "Class", el("select", { name: "finding_class" }, el("option", {}, "malignant"), el("option", {}, "benign"))),
      el("label", { "class": "wide" }, "What it is", el("textarea", { name: "comment", rows: 2, maxLength: 4000 })),
      el("button", { "class": "main wide" }, "Add it at the crosshair"));
    box.hidden = false;
    box.replaceChildren(el("h2", {}, "A missed finding"), el("p", { "class": "quiet" }, "Click in the images where it lies."), form);
  }

  drawQuality() {
    const flags = this.data.result.quality;
    document.getElementById("quality").replaceChildren(...(flags.length ? [el("h2", {}, "What limits this result"),
      el("ul", { "class": "flags" }, ...flags.map((q) => el("li", { "class": q.severity }, el("b", {}, `${SEVERITY[q.severity] ?? "Note"} `), q.message, q.where ? ` (${q.where})` : "")))] : []));
  }
}
