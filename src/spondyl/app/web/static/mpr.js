// Any plane and space, by NiiVue. It is loaded only when somebody asks for it: it needs WebGL and takes seconds.

import { toast } from "./page.js";

let shown = null;

function library() {
  return new Promise((resolve, reject) => {
    if (window.niivue) return resolve(window.niivue);
    const script = document.createElement("script");
    script.src = "/static/vendor/niivue.umd.js";
    script.onload = () => resolve(window.niivue);
    script.onerror = () => reject(new Error("the library could not be loaded"));
    document.head.append(script);
  });
}

// Colors by value of the label maps, as those of the outlines, thin enough to see the image through.
const TABLES = {
  lesions: { R: [0, 255, 255], G: [0, 176, 176], B: [0, 46, 46], A: [0, 150, 150], I: [0, 1, 255] },
  structures: {
    R: [0, 95, 95, 95, 95, 0, 0, 185, 185, 159, 95, 95], G: [0, 220, 220, 220, 220, 0, 0, 167, 167, 216, 220, 220],
    B: [0, 236, 236, 236, 236, 0, 0, 255, 255, 169, 236, 236], A: [0, 60, 60, 26, 26, 0, 0, 36, 36, 36, 60, 60],
    I: [0, 1, 63, 64, 127, 128, 199, 200, 201, 202, 203, 255],
  },
};

/** Open or close the view in space over the panes. */
export async function open3d(viewer, url) {
  const box = document.getElementById("mpr"), note = document.getElementById("mpr-note");
  box.hidden = !box.hidden;
  if (box.hidden || shown === viewer) return;
  note.textContent = "Loading the view in space…";
  try {
    const { Niivue } = await library();
    const reference = (viewer.active?.image ?? viewer.study.images[0]);
    // sagittalNoseLeft: anterior to the left; without radiological convention the patient's right would lie on the right.
    const niivue = new Niivue({ sagittalNoseLeft: true, isRadiologicalConvention: true, show3Dcrosshair: true, backColor: [0, 0, 0, 1], crosshairColor: [0.36, 0.78, 0.85, 0.7], crosshairWidth: 0.4, loadingText: "", dragAndDropEnabled: false, logLevel: "error" });
    await niivue.attachToCanvas(document.getElementById("mpr-canvas"));
    const [black, white] = reference.window.map((v) => (v - reference.offset) / reference.scale);
    const volumes = [{ url: `${url}/${reference.name}.nii.gz`, colormap: "gray", cal_min: black, cal_max: white }];
    const names = ["structures", "lesions"].filter((name) => viewer.study.manifest.labels.some((v) => v.name === name));
    for (const name of names) {
      niivue.addColormap(name, TABLES[name]);
      volumes.push({ url: `${url}/${name}.nii.gz`, colormap: name, cal_min: 0, cal_max: 255, opacity: name === "lesions" ? 0.5 : 0.16 });
    }
    await niivue.loadVolumes(volumes);
    niivue.setSliceType(niivue.sliceTypeMultiplanar);
    niivue.setInterpolation(false);
    const [x, y, z] = viewer.point; // LPS; NiiVue speaks RAS
    niivue.scene.crosshairPos = niivue.mm2frac([-x, -y, z]);
    niivue.drawScene();
    shown = viewer;
    note.textContent = "NiiVue. M goes back.";
    box.dataset.ready = "yes";
  } catch (error) {
    box.hidden = true;
    toast(`The view in space needs WebGL 2, which this browser does not give (${error.message}).`, true);
  }
}
