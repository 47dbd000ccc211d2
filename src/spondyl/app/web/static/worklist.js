// The worklist: fetched anew every few seconds, so that a study is seen when it is done.

import { dicomDate, el, getJson, localTime, toast } from "./page.js";

const EVERY_MS = 10_000;
const body = document.querySelector("#worklist tbody");
const find = document.getElementById("find");
let studies = [];
let state = "";
let chosen = 0;

function row(study) {
  const patient = study.patient;
  const found = study.summary.n_lesions;
  return el("tr", { "class": study.can_open ? "" : "closed", "data-study": study.study_key },
    el("td", {}, el("span", { "class": `urgency ${study.urgency}` }, study.urgency)),
    el("td", {}, el("strong", {}, patient.name || "Unnamed"), el("small", {}, [patient.patient_id, study.case_id].filter(Boolean).join(" · "))),
    el("td", {}, [dicomDate(patient.birth_date), patient.sex].filter(Boolean).join(", ")),
    el("td", { "class": "n" }, dicomDate(patient.study_date), el("small", {}, study.scanner)),
    el("td", { "class": "n" }, localTime(study.received_at)),
    el("td", {}, study.sequences.join(", "), el("small", {}, `${study.n_instances} images`)),
    el("td", { "class": `state ${study.state}` }, study.state,
      el("small", {}, study.error || (found === undefined ? "" : `${found} lesion candidate${found === 1 ? "" : "s"}`))),
    el("td", {}, study.reviewed_by.join(", ")));
}

function shown() {
  const wanted = find.value.trim().toLowerCase();
  return studies.filter((s) => (!state || s.state === state)
    && (!wanted || [s.patient.name, s.patient.patient_id, s.case_id, s.patient.accession].join(" ").toLowerCase().includes(wanted)));
}

function draw() {
  const rows = shown().map(row);
  chosen = Math.min(chosen, Math.max(rows.length - 1, 0));
  rows[chosen]?.classList.add("chosen");
  body.replaceChildren(...rows);
  document.getElementById("nothing").hidden = studies.length > 0;
}

async function refresh() {
  try {
    studies = await getJson("/api/studies");
    draw();
  } catch (error) {
    toast(error.message, true);
  }
}

function open(index) {
  const study = shown()[index];
  if (study?.can_open) location.assign(`/studies/${study.study_key}`);
}

body.addEventListener("click", (event) => open([...body.children].indexOf(event.target.closest("tr"))));
find.addEventListener("input", draw);
document.getElementById("states").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  state = button.dataset.state;
  for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
  draw();
});
document.addEventListener("keydown", (event) => {
  if (event.target === find) {
    if (event.key === "Escape") find.blur();
    if (event.key !== "Enter") return;
  }
  if (event.key === "/") find.focus();
  else if (event.key === "ArrowDown") chosen = Math.min(chosen + 1, body.children.length - 1);
  else if (event.key === "ArrowUp") chosen = Math.max(chosen - 1, 0);
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON" && event.target.tagName !== "A") return open(chosen);
  else return;
  event.preventDefault();
  draw();
});

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
