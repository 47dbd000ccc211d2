// A case of a reader study, read blinded; the time runs from the first image, and only while the page is seen.

import { Findings } from "./findings.js";
import { bindTools } from "./keys.js";
import { el, getJson, post, toast } from "./page.js";
import { StudyImages, Viewer } from "./viewer.js";

const work = document.getElementById("work");
const number = work.dataset.reading;
const stored = `spondyl-reading-${number}`;
const marks = [];
let scored = false;

/** Seconds that the page was seen; they outlive a reload. */
class Stopwatch {
  constructor() {
    this.before = Number(sessionStorage.getItem(stored) ?? 0);
    this.since = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.run()));
    addEventListener("pagehide", () => this.pause());
  }
  start() { this.started = true; if (!document.hidden) this.run(); }
  run() { if (this.started && this.since === null) this.since = performance.now(); }
  pause() {
    if (this.since !== null) this.before += (performance.now() - this.since) / 1000;
    this.since = null;
    sessionStorage.setItem(stored, String(this.before));
  }
  get seconds() { return this.before + (this.since === null ? 0 : (performance.now() - this.since) / 1000); }
}

async function start() {
  const data = await getJson(`/api/readings/${number}`);
  const watch = new Stopwatch();
  const study = new StudyImages(`/api/readings/${number}/volumes`, data.volumes, data.result);
  const viewer = new Viewer(document.getElementById("panes"), study);
  const findings = data.result ? new Findings({ ...data, may_review: false, reviews: [] }, viewer) : null;
  viewer.onPick = (id) => findings?.choose(id);
  viewer.onReady = () => { watch.start(); work.dataset.ready = String(Math.round(performance.now())); };
  bindTools(viewer, {
    stage: document.querySelector(".stage"),
    extra: { k: () => mark(viewer), ...(findings ? { n: () => findings.step() } : {}) },
  });
  viewer.start();
  findings?.draw();
  bindAnswer(viewer, watch);
}

function mark(viewer) {
  marks.push({ point_lps_mm: [...viewer.point], score: Number(document.getElementById("score").value) });
  drawMarks(viewer);
}

function drawMarks(viewer) {
  document.getElementById("marks").replaceChildren(...marks.map((m, n) => el("li", {},
    el("button", { type: "button", "class": "quiet", onclick: () => viewer.goTo([...m.point_lps_mm]) }, `Place ${n + 1}`),
    el("input", { type: "range", min: "0", max: "100", value: String(m.score), "aria-label": `Suspicion of place ${n + 1}`, oninput: (event) => { m.score = Number(event.target.value); event.target.nextSibling.textContent = m.score; } }), el("output", {}, String(m.score)),
    el("button", { type: "button", "class": "quiet", title: "Remove", onclick: () => { marks.splice(n, 1); drawMarks(viewer); } }, "✕"))));
}

function bindAnswer(viewer, watch) {
  const score = document.getElementById("score"), finish = document.getElementById("finish");
  const shown = document.getElementById("score-shown");
  const set = () => { scored = true; shown.textContent = score.value; finish.disabled = false; };
  score.addEventListener("input", set);
  score.addEventListener("pointerup", set); // the middle is an answer, too, if somebody chose it
  document.getElementById("mark").addEventListener("click", () => mark(viewer));
  document.getElementById("reading-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!scored) return;
    finish.disabled = true;
    watch.pause();
    try {
      const comment = new FormData(event.target).get("comment");
      await post(`/api/readings/${number}`, { score: Number(score.value), seconds: watch.seconds, marks, comment });
      sessionStorage.removeItem(stored);
      location.assign("/readings");
    } catch (error) {
      finish.disabled = false;
      watch.run();
      toast(error.message, true);
    }
  });
}

start().catch((error) => toast(error.message, true));
