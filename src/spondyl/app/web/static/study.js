// One study, read.

import { Findings } from "./findings.js";
import { bindTools } from "./keys.js";
import { open3d } from "./mpr.js";
import { dicomDate, el, getJson, toast } from "./page.js";
import { StudyImages, Viewer, shiftByVertebrae } from "./viewer.js";

const work = document.getElementById("work");
const key = work.dataset.study;
const volumes = (study) => `/api/studies/${study}/volumes`;

async function start() {
  const data = await getJson(`/api/studies/${key}`);
  const study = new StudyImages(volumes(key), data.volumes, data.result);
  const viewer = new Viewer(document.getElementById("panes"), study);
  const findings = data.result ? new Findings(data, viewer) : null;
  viewer.onPick = (id) => findings?.choose(id);
  viewer.onReady = () => { work.dataset.ready = String(Math.round(performance.now())); };
  bindTools(viewer, {
    stage: document.querySelector(".stage"),
    onPrior: () => togglePrior(viewer, data),
    on3d: () => open3d(viewer, `/api/studies/${key}/nifti`),
    extra: findings ? keysOf(findings) : {},
  });
  const first = data.result?.lesions[0] ?? data.result?.vertebrae[Math.floor((data.result?.vertebrae.length ?? 0) / 2)];
  viewer.start(first ? [...first.centroid_lps_mm] : undefined);
  if (data.result?.lesions.length) study.load("lesions").then((found) => { if (found && !viewer.chosen) viewer.goTo(study.bestPoint("lesions", first.id, first.centroid_lps_mm)); });
  if (findings) findings.draw();
  else document.getElementById("summary").replaceChildren(el("h1", {}, "Not analyzed yet"), el("p", {}, `The study is ${data.state}. Its images are here; findings appear when the page is loaded again.`));
  links(data);
  document.getElementById("prior-button").hidden = !data.priors.length;
}

function keysOf(findings) {
  const judge = (verdict) => () => {
    const finding = findings.list.find((f) => f.id === findings.viewer.chosen);
    if (finding && findings.data.may_review) findings.judge(finding, verdict);
  };
  const keys = { n: () => findings.step(), a: judge("accept"), r: judge("reject"), c: judge("correct"), escape: () => findings.close() };
  for (let n = 1; n <= 9; n++) keys[String(n)] = () => { if (findings.shown[n - 1]) findings.choose(findings.shown[n - 1].id); };
  return keys;
}

async function togglePrior(viewer, data) {
  if (viewer.prior) return viewer.setPrior(null);
  try {
    const prior = await getJson(`/api/studies/${data.priors[0].study_key}`);
    const same = prior.result.frame_of_reference_uid && prior.result.frame_of_reference_uid === data.result?.frame_of_reference_uid;
    const { response } = data.result ?? {};
    const matches = response?.assessable && response.prior_case_id === prior.result.case_id ? response.vertebrae : null;
    const shift = shiftByVertebrae(data.result?.vertebrae ?? [], prior.result.vertebrae, { sameFrame: same, matches });
    const images = new StudyImages(volumes(prior.study_key), prior.volumes, prior.result, shift);
    images.label = dicomDate(data.priors[0].study_date);
    viewer.setPrior(images);
    toast(`Beside it the study of ${dicomDate(data.priors[0].study_date)}, placed by ${matches ? "matched vertebrae" : "the names of levels"}.`);
  } catch (error) {
    toast(error.message, true);
  }
}

function links(data) {
  if (!data.result) return;
  const objects = Object.keys(data.result.files).filter((n) => data.result.files[n].startsWith("dicom/"));
  document.getElementById("links").replaceChildren(
    el("a", { href: `/studies/${key}/report`, target: "_blank" }, "Report"),
    ...(data.ohif ? [el("a", { href: `/studies/${key}/ohif`, target: "_blank" }, "Open in OHIF")] : []),
    ...objects.map((n) => el("a", { href: `/api/studies/${key}/dicom/${n}.dcm`, download: "" }, `${n}.dcm`)),
    ...(data.may_export ? [el("a", { href: `/api/studies/${key}/deidentified.zip`, download: "", title: "Images and results without the patient (PS3.15 Basic Profile); look at the pictures before they leave" }, "De-identified copy")] : []),
    ...data.priors.map((p) => el("a", { href: `/studies/${p.study_key}` }, `Study of ${dicomDate(p.study_date)}`)));
}

start().catch((error) => {
  document.getElementById("summary").replaceChildren(el("h1", {}, "The study cannot be shown"), el("p", {}, error.message));
  toast(error.message, true);
});
