// Images side by side, linked by place in the patient: one point, one scale, one center for all of a plane.

import { el } from "./page.js";
import { Volume, apply, outlines, overlaySlice } from "./volume.js";

const BODY_LIMIT = 64, DISC_LIMIT = 128, CANAL = 200, CORD = 201, SACRUM = 202, FIRST_SACRAL = 203;

const STYLE = {
  body: { color: "#5fdcec", width: 1.4, alpha: 1 },
  posterior: { color: "#5fdcec", width: 1, alpha: 0.5 },
  canal: { color: "#b9a7ff", width: 1, alpha: 0.75, dash: [4, 3] },
  sacrum: { color: "#9fd8a9", width: 1, alpha: 0.7 },
  lesion: { color: "#ffb02e", width: 2, alpha: 1 },
};
const COLORS = {
  saliency: [[216, 67, 60], [243, 211, 91]], // from faint to strong
  uncertainty: [[90, 73, 201], [205, 192, 255]],
};
const FAINTEST = 0.08; // values of a map below this are not painted
const ORDER = ["T1", "T1CE", "T2", "T2FS", "STIR", "DWI", "ADC"];
const SPOKEN = { T1CE: "T1 contrast", T2FS: "T2 fat sat" };
const MOST_PANES = 8;
const MARGIN = 1.04; // around whole images

const styleOf = (value) => value < BODY_LIMIT || value === FIRST_SACRAL ? STYLE.body : value < DISC_LIMIT ? STYLE.posterior
  : value < CANAL ? null : value === SACRUM ? STYLE.sacrum : STYLE.canal;

export function spoken(image) {
  const name = SPOKEN[image.sequence] ?? image.sequence.replace("_", " ");
  const b = image.sequence === "DWI" && image.b_value_s_mm2 ? ` b${Math.round(image.b_value_s_mm2)}` : "";
  return `${name}${b}${image.plane === "sagittal" ? "" : ` ${image.plane}`}`;
}

/** Images, overlays and findings of one study. */
export class StudyImages {
  constructor(url, manifest, result, shift = (point) => point) {
    this.url = url;
    this.manifest = manifest;
    this.vertebrae = result?.vertebrae ?? [];
    this.lesions = result?.lesions ?? [];
    this.label = ""; // what tells a prior from the study being read
    this.shift = shift; // from a point of the study being read to the same place here
    this.volumes = new Map();
    this.loading = new Map();
    this.traced = new Map();
  }

  get images() { return this.manifest.images; }

  load(name) {
    if (!this.loading.has(name)) {
      const meta = [...this.manifest.images, ...this.manifest.labels, ...this.manifest.maps].find((v) => v.name === name);
      this.loading.set(name, meta ? Volume.load(this.url, meta).then((v) => { this.volumes.set(name, v); return v; }) : Promise.resolve(null));
    }
    return this.loading.get(name);
  }

  /** Where a finding is largest in a slice of the series it was drawn on; its centroid while that is not loaded. */
  bestPoint(name, value, centroid) {
    const volume = this.volumes.get(name);
    if (!volume) return [...centroid];
    const size = volume.rows * volume.columns;
    let best = null;
    for (let k = 0; k < volume.slices; k++) {
      let count = 0, row = 0, column = 0;
      const pixels = volume.slice(k);
      for (let n = 0; n < size; n++) if (pixels[n] === value) { count++; row += Math.floor(n / volume.columns); column += n % volume.columns; }
      if (count && (!best || count > best.count)) best = { count, index: [k, row / count, column / count] };
    }
    return best ? volume.toLps(best.index) : [...centroid];
  }

  level(vertebra) {
    if (vertebra.level === null) return `#${vertebra.instance}?`;
    return vertebra.level_uncertain ? `${vertebra.level}?` : vertebra.level;
  }

  overlay(name, image, k) {
    const volume = this.volumes.get(name);
    if (!volume) return null;
    const id = `${name}/${image.name}/${k}`;
    if (!this.traced.has(id)) {
      const cut = overlaySlice(volume, image, k);
      if (cut && !this.traced.has(cut.key)) this.traced.set(cut.key, name in COLORS ? painted(cut, COLORS[name]) : outlines(cut.pixels, cut.rows, cut.columns));
      this.traced.set(id, cut && { ...cut, made: this.traced.get(cut.key) });
    }
    return this.traced.get(id);
  }
}

function painted(cut, [faint, strong]) {
  const canvas = new OffscreenCanvas(cut.columns, cut.rows);
  const context = canvas.getContext("2d");
  const image = context.createImageData(cut.columns, cut.rows);
  for (let n = 0; n < cut.pixels.length; n++) {
    const v = cut.pixels[n] / 255;
    if (v < FAINTEST) continue;
    for (let k = 0; k < 3; k++) image.data[4 * n + k] = faint[k] + v * (strong[k] - faint[k]);
    image.data[4 * n + 3] = 40 + 160 * v;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

class Pane {
  constructor(viewer, study, image, isPrior) {
    this.viewer = viewer;
    this.study = study;
    this.isPrior = isPrior;
    this.canvas = el("canvas");
    this.name = el("div", { "class": "corner name" });
    this.where = el("div", { "class": "corner where" });
    this.level = el("div", { "class": "corner level" });
    this.waiting = el("div", { "class": "corner waiting" }, "Loading…");
    this.box = el("div", { "class": `pane${isPrior ? " prior" : ""}`, "data-of": study.label }, this.canvas, this.name, this.where, this.level, this.waiting);
    this.set(image);
  }

  set(image) {
    this.image = image;
    this.volume = null;
    this.windowing = [...image.window];
    this.name.textContent = spoken(image);
    this.gray = null;
    this.study.load(image.name).then((volume) => {
      this.volume = volume;
      this.waiting.textContent = "";
      this.viewer.arrived(this);
    }, (error) => { this.waiting.textContent = error.message; });
  }

  get point() { return this.study.shift(this.viewer.point); }

  /** Six numbers from pixels of the slice to pixels of the canvas. */
  transform() {
    const view = this.viewer.views[this.volume.plane];
    const [, row, column] = this.volume.index(this.study.shift(view.center));
    const dpr = devicePixelRatio;
    const [, sy, sx] = this.volume.spacing_mm.map((mm) => (mm * dpr) / view.mmPerPixel);
    return [sx, 0, 0, sy, this.canvas.width / 2 - (column + 0.5) * sx, this.canvas.height / 2 - (row + 0.5) * sy];
  }

  /** Point of the patient under a place of the pane, in CSS pixels. */
  pointAt(x, y) {
    const [sx, , , sy, tx, ty] = this.transform();
    const c = (x * devicePixelRatio - tx) / sx - 0.5, r = (y * devicePixelRatio - ty) / sy - 0.5;
    const { k } = this.volume.nearest(this.point);
    const here = this.volume.toLps([k, r, c]);
    if (!this.isPrior) return here;
    const now = this.point, master = this.viewer.point; // what the shift is just here
    return here.map((v, i) => v - now[i] + master[i]);
  }

  draw() {
    const { canvas, volume } = this;
    const width = Math.round(this.box.clientWidth * devicePixelRatio), height = Math.round(this.box.clientHeight * devicePixelRatio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (!volume || !this.viewer.views[volume.plane]) return;
    const { k, reaches } = volume.nearest(this.point);
    this.k = k;
    this.box.dataset.slice = k;
    this.waiting.textContent = reaches ? "" : "This series does not reach here";
    this.where.textContent = reaches ? `${k + 1} / ${volume.slices}` : "";
    if (!reaches) return;
    const transform = this.transform();
    context.setTransform(...transform);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.grayscale(k), 0, 0);
    if (!this.viewer.bare) this.drawOverlays(context, transform);
    context.setTransform(1, 0, 0, 1, 0, 0);
    this.drawReferences(context, transform);
    this.drawFrame(context, width, height);
  }

  grayscale(k) {
    const [black, white] = this.windowing;
    const key = `${k} ${black} ${white}`;
    if (this.gray?.key === key) return this.gray.canvas;
    const { volume } = this;
    const canvas = this.gray?.canvas ?? new OffscreenCanvas(volume.columns, volume.rows);
    const context = canvas.getContext("2d");
    const image = this.gray?.image ?? context.createImageData(volume.columns, volume.rows);
    const pixels = new Uint32Array(image.data.buffer), raw = volume.slice(k);
    const gain = (255 * this.image.scale) / (white - black), offset = ((this.image.offset - black) * 255) / (white - black);
    for (let n = 0; n < raw.length; n++) {
      let v = raw[n] * gain + offset;
      v = v < 0 ? 0 : v > 255 ? 255 : v;
      pixels[n] = 0xff000000 | ((v | 0) * 0x010101);
    }
    context.putImageData(image, 0, 0);
    this.gray = { key, canvas, image };
    return canvas;
  }

  drawOverlays(context, transform) {
    const { shows, chosen } = this.viewer;
    for (const name of ["uncertainty", "saliency"]) {
      const cut = shows[name] && this.study.overlay(name, this.volume, this.k);
      if (!cut) continue;
      context.save();
      context.transform(...cut.transform);
      context.drawImage(cut.made, 0, 0);
      context.restore();
    }
    this.labels = null;
    const bones = shows.structures && this.study.overlay("structures", this.volume, this.k);
    if (bones) {
      for (const [value, outline] of bones.made) {
        const style = styleOf(value);
        if (style) this.stroke(context, bones, outline, style, chosen === `vertebra-${value}`);
      }
      this.writeLevels(context, transform, bones);
    }
    const lesions = shows.lesions && this.study.overlay("lesions", this.volume, this.k);
    if (lesions) for (const [value, outline] of lesions.made) this.stroke(context, lesions, outline, STYLE.lesion, !this.isPrior && chosen === `lesion-${value}`);
  }

  stroke(context, cut, outline, style, isChosen) {
    context.save();
    context.transform(...cut.transform);
    const placed = new Path2D();
    placed.addPath(outline.path, context.getTransform());
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.strokeStyle = style.color;
    context.globalAlpha = style.alpha;
    context.lineWidth = style.width * devicePixelRatio * (isChosen ? 1.7 : 1);
    context.setLineDash((style.dash ?? []).map((v) => v * devicePixelRatio));
    context.lineJoin = context.lineCap = "round";
    context.stroke(placed);
    context.restore();
  }

  writeLevels(context, transform, bones) {
    const size = 12 * devicePixelRatio;
    context.save();
    context.font = `600 ${size}px Inter, "Segoe UI", system-ui, sans-serif`;
    context.textAlign = this.volume.plane === "sagittal" ? "right" : "center";
    context.textBaseline = "middle";
    for (const vertebra of this.study.vertebrae) {
      const outline = bones.made.get(vertebra.instance);
      if (!outline || outline.count < 20) continue;
      const [a, b, c, d, e, f] = bones.transform;
      const column = this.volume.plane === "sagittal" ? outline.left : outline.column + 0.5;
      const x = a * column + c * (outline.row + 0.5) + e, y = b * column + d * (outline.row + 0.5) + f;
      const px = Math.max(transform[0] * x + transform[4] - (this.volume.plane === "sagittal" ? 7 * devicePixelRatio : 0), 34 * devicePixelRatio);
      const py = Math.max(transform[3] * y + transform[5], 9 * devicePixelRatio);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.lineWidth = 3 * devicePixelRatio;
      context.strokeStyle = "#000b";
      context.strokeText(this.study.level(vertebra), px, py);
      context.fillStyle = "#8fe9f5";
      context.fillText(this.study.level(vertebra), px, py);
    }
    context.restore();
  }

  /** The point as a cross, and the slices of other planes as lines. */
  drawReferences(context, [sx, , , sy, tx, ty]) {
    const dpr = devicePixelRatio;
    const at = (p) => { const [, r, c] = this.volume.index(p); return [(c + 0.5) * sx + tx, (r + 0.5) * sy + ty]; };
    if (!this.viewer.bare) {
      const [x, y] = at(this.point);
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + dx * 9 * dpr, y + dy * 9 * dpr);
        context.lineTo(x + dx * 20 * dpr, y + dy * 20 * dpr);
      }
      for (const [color, width] of [["#000a", 3], ["#f4fbfd", 1.2]]) { // light with a dark rim: seen on black and white
        context.strokeStyle = color;
        context.lineWidth = width * dpr;
        context.stroke();
      }
      context.strokeStyle = "#5cc8d8";
      context.lineWidth = dpr;
      const active = this.viewer.active;
      if (active?.volume && active !== this && active.study === this.study && !active.volume.isParallel(this.volume)) {
        const { rows, columns } = active.volume;
        const corners = [[0, 0], [0, columns - 1], [rows - 1, columns - 1], [rows - 1, 0]].map(([r, c]) => active.volume.toLps([active.k ?? 0, r, c]));
        const plane = corners.map((p) => this.volume.index(p)[0] - this.k);
        const cuts = [];
        for (let n = 0; n < 4; n++) {
          const m = (n + 1) % 4;
          if (plane[n] * plane[m] < 0) {
            const t = plane[n] / (plane[n] - plane[m]);
            cuts.push(at(corners[n].map((v, i) => v + t * (corners[m][i] - v))));
          }
        }
        if (cuts.length === 2) {
          context.globalAlpha = 0.6;
          context.setLineDash([6 * dpr, 5 * dpr]);
          context.beginPath();
          context.moveTo(...cuts[0]);
          context.lineTo(...cuts[1]);
          context.stroke();
          context.setLineDash([]);
        }
      }
      context.globalAlpha = 1;
    }
  }

  drawFrame(context, width, height) {
    const dpr = devicePixelRatio, edges = this.volume.edges;
    context.font = `600 ${12 * dpr}px Inter, "Segoe UI", system-ui, sans-serif`;
    context.fillStyle = "#aebcc4";
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(edges.left, 8 * dpr, height / 2);
    context.textAlign = "right";
    context.fillText(edges.right, width - 8 * dpr, height / 2);
    const bar = 50 / this.viewer.views[this.volume.plane].mmPerPixel * dpr; // 5 cm
    context.strokeStyle = "#aebcc4";
    context.lineWidth = dpr;
    context.beginPath();
    context.moveTo(10 * dpr, height - 16 * dpr); context.lineTo(10 * dpr, height - 11 * dpr);
    context.lineTo(10 * dpr + bar, height - 11 * dpr); context.lineTo(10 * dpr + bar, height - 16 * dpr);
    context.stroke();
    context.textAlign = "left";
    context.font = `${11 * dpr}px Inter, "Segoe UI", system-ui, sans-serif`;
    context.fillText("5 cm", 16 * dpr, height - 20 * dpr);
    const [black, white] = this.windowing;
    this.level.textContent = `W ${Math.round(white - black)}  L ${Math.round((white + black) / 2)}`;
  }
}

/** The panes, what they show, and the hands on mouse and keys. */
export class Viewer {
  constructor(box, study) {
    this.box = box;
    this.study = study;
    this.prior = null;
    this.shows = { structures: true, lesions: true, saliency: false, uncertainty: false };
    this.bare = false;
    this.views = {};
    this.point = [0, 0, 0];
    this.chosen = null;
    this.panes = [];
    this.large = null;
    this.onPick = () => {};
    this.onChange = () => {};
    this.onReady = () => {};
    new ResizeObserver(() => this.draw()).observe(box);
    this.listen();
  }

  /** Images worth a pane: one of each sequence, and whatever shows another plane. */
  chosenImages(study = this.study) {
    const seen = new Set();
    const rank = (image) => { const n = ORDER.indexOf(image.sequence); return (image.plane === "sagittal" ? 0 : 100) + (n < 0 ? 50 : n); };
    return [...study.images].sort((a, b) => rank(a) - rank(b)).filter((image) => {
      const key = `${image.sequence}/${image.plane}`;
      return !seen.has(key) && seen.add(key);
    }).slice(0, MOST_PANES);
  }

  start(point) {
    const reference = this.study.images.find((i) => i.name === this.study.manifest.reference) ?? this.study.images[0];
    const [s, r, c] = reference.shape.map((n) => (n - 1) / 2);
    this.point = point ?? apply(reference.affine, [Math.round(s), r, c]);
    this.study.load(reference.name); // first of all what everything else is drawn over
    this.lay();
    for (const name of ["structures", "lesions"]) this.study.load(name).then(() => this.drawSoon());
  }

  lay() {
    const images = this.chosenImages();
    let panes = images.map((image) => [this.study, image, false]);
    if (this.prior) {
      const pairs = images.map((image) => [image, this.prior.images.find((p) => p.sequence === image.sequence && p.plane === image.plane)]).filter(([, p]) => p);
      const active = this.active?.image.sequence;
      pairs.sort((a, b) => (b[0].sequence === active) - (a[0].sequence === active));
      panes = pairs.slice(0, 2).flatMap(([now, then]) => [[this.study, now, false], [this.prior, then, true]]);
    }
    this.panes = panes.map(([study, image, isPrior]) => new Pane(this, study, image, isPrior));
    this.active = this.panes.find((p) => p.image.name === this.study.manifest.reference) ?? this.panes[0];
    this.large = null;
    this.arrange();
  }

  arrange() {
    const shown = this.large ? [this.large] : this.panes;
    const n = shown.length;
    const columns = n <= 4 ? n : Math.ceil(n / 2);
    this.box.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.box.style.gridTemplateRows = `repeat(${Math.ceil(n / columns)}, minmax(0, 1fr))`;
    this.box.replaceChildren(...shown.map((p) => p.box));
    for (const pane of this.panes) pane.box.classList.toggle("active", pane === this.active && n > 1);
    if (Object.keys(this.views).length) this.fit();
  }

  arrived(pane) {
    if (!this.views[pane.volume.plane]) this.fitPlane(pane);
    this.drawSoon();
    if (this.panes.every((p) => p.volume)) this.onReady();
  }

  fitPlane(pane) {
    const { volume } = pane;
    const [, sy, sx] = volume.spacing_mm;
    const width = this.box.clientWidth / (getComputedStyle(this.box).gridTemplateColumns.split(" ").length || 1);
    const height = this.box.clientHeight / (getComputedStyle(this.box).gridTemplateRows.split(" ").length || 1);
    const centers = pane.study.vertebrae.map((v) => volume.index(v.centroid_lps_mm));
    let rows = [0, volume.rows - 1], columns = [0, volume.columns - 1];
    if (volume.plane === "sagittal" && centers.length > 1) { // the column and what belongs to it, not the whole belly
      const r = centers.map((c) => c[1]), c = centers.map((v) => v[2]);
      rows = [Math.max(Math.min(...r) - 45 / sy, 0), Math.min(Math.max(...r) + 45 / sy, volume.rows - 1)];
      columns = [Math.max(Math.min(...c) - 75 / sx, 0), Math.min(Math.max(...c) + 90 / sx, volume.columns - 1)];
    }
    const middle = volume.toLps([volume.nearest(this.point).k, (rows[0] + rows[1]) / 2, (columns[0] + columns[1]) / 2]);
    this.views[volume.plane] = {
      center: middle,
      mmPerPixel: MARGIN * Math.max(((rows[1] - rows[0]) * sy) / height, ((columns[1] - columns[0]) * sx) / width, 0.05),
    };
  }

  fit() {
    this.views = {};
    const first = [this.active, ...this.panes].filter((p) => p?.volume && !p.isPrior);
    for (const pane of first) if (!this.views[pane.volume.plane]) this.fitPlane(pane);
    this.drawSoon();
  }

  drawSoon() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.draw(); });
  }

  draw() {
    for (const pane of this.large ? [this.large] : this.panes) pane.draw();
    this.box.dataset.drawn = String(Number(this.box.dataset.drawn ?? 0) + 1);
    this.onChange();
  }

  /** Show a place of the patient in all panes; move the view where it would be out of sight. */
  goTo(point) {
    this.point = point;
    for (const pane of this.panes) {
      if (!pane.volume || pane.isPrior || !this.views[pane.volume.plane]) continue;
      const view = this.views[pane.volume.plane];
      const [, r, c] = pane.volume.index(point), [, vr, vc] = pane.volume.index(view.center);
      const dx = Math.abs(c - vc) * pane.volume.spacing_mm[2] / view.mmPerPixel, dy = Math.abs(r - vr) * pane.volume.spacing_mm[1] / view.mmPerPixel;
      if (dx > pane.box.clientWidth * 0.45 || dy > pane.box.clientHeight * 0.45) view.center = point;
    }
    this.drawSoon();
  }

  scroll(steps) {
    const volume = this.active?.volume;
    if (!volume) return;
    const index = volume.index(this.active.point);
    const k = Math.min(Math.max(Math.round(index[0]) + steps, 0), volume.slices - 1);
    const moved = apply(volume.affine, [k, index[1], index[2]]);
    const here = this.active.point;
    this.point = this.point.map((v, i) => v + moved[i] - here[i]);
    this.drawSoon();
  }

  toggle(name) {
    this.shows[name] = !this.shows[name];
    if (this.shows[name]) for (const study of [this.study, this.prior].filter(Boolean)) study.load(name).then(() => this.drawSoon());
    this.drawSoon();
    return this.shows[name];
  }

  resetWindows() {
    for (const pane of this.panes) pane.windowing = [...pane.image.window];
    this.drawSoon();
  }

  one(pane = this.active) {
    this.large = this.large || this.panes.length < 2 ? null : pane;
    this.arrange();
  }

  setPrior(study) {
    this.prior = study;
    if (study) for (const name of ["structures", "lesions"]) study.load(name).then(() => this.drawSoon());
    this.lay();
  }

  activate(pane) {
    this.active = pane;
    for (const other of this.panes) other.box.classList.toggle("active", other === pane && this.panes.length > 1 && !this.large);
  }

  paneAt(event) { return this.panes.find((p) => p.box.contains(event.target)); }

  listen() {
    const { box } = this;
    let turned = 0;
    box.addEventListener("wheel", (event) => {
      event.preventDefault();
      const pane = this.paneAt(event);
      if (!pane?.volume) return;
      this.activate(pane);
      if (event.ctrlKey || event.metaKey) return this.zoom(pane, event);
      turned += event.deltaMode === 0 ? event.deltaY / 60 : event.deltaY;
      const steps = Math.trunc(turned);
      if (steps) { turned -= steps; this.scroll(steps); }
    }, { passive: false });
    box.addEventListener("pointerdown", (event) => {
      const pane = this.paneAt(event);
      if (!pane?.volume) return;
      box.focus({ preventScroll: true });
      this.activate(pane);
      this.grip = { pane, x: event.clientX, y: event.clientY, moved: 0, pans: event.shiftKey || event.button === 1, windowing: [...pane.windowing] };
      box.setPointerCapture(event.pointerId);
      this.drawSoon();
    });
    box.addEventListener("pointermove", (event) => { if (this.grip) this.drag(event); });
    box.addEventListener("pointerup", (event) => {
      const grip = this.grip;
      this.grip = null;
      if (grip && grip.moved < 4) this.click(grip.pane, event);
    });
    box.addEventListener("pointercancel", () => { this.grip = null; });
    box.addEventListener("dblclick", (event) => { const pane = this.paneAt(event) ?? this.active; if (pane) this.one(pane); });
  }

  drag(event) {
    const { grip } = this;
    const dx = event.clientX - grip.x, dy = event.clientY - grip.y;
    grip.moved = Math.max(grip.moved, Math.abs(dx) + Math.abs(dy));
    if (grip.moved < 4) return;
    if (grip.pans) {
      const view = this.views[grip.pane.volume.plane], { volume } = grip.pane;
      const [k, r, c] = volume.index(view.center);
      view.center = volume.toLps([k, r - (dy * view.mmPerPixel) / volume.spacing_mm[1], c - (dx * view.mmPerPixel) / volume.spacing_mm[2]]);
      grip.x = event.clientX; grip.y = event.clientY;
    } else {
      const [black, white] = grip.windowing;
      const width = (white - black) * Math.exp(dx * 0.006), middle = (black + white) / 2 + dy * (white - black) * 0.004;
      for (const pane of this.panes) if (pane.image.sequence === grip.pane.image.sequence && pane.image.plane === grip.pane.image.plane) pane.windowing = [middle - width / 2, middle + width / 2];
    }
    this.drawSoon();
  }

  zoom(pane, event) {
    const view = this.views[pane.volume.plane];
    const box = pane.box.getBoundingClientRect();
    const before = pane.pointAt(event.clientX - box.left, event.clientY - box.top);
    view.mmPerPixel = Math.min(Math.max(view.mmPerPixel * Math.exp(event.deltaY * 0.0015), 0.03), 5);
    const after = pane.pointAt(event.clientX - box.left, event.clientY - box.top);
    view.center = view.center.map((v, i) => v + before[i] - after[i]);
    this.drawSoon();
  }

  click(pane, event) {
    const box = pane.box.getBoundingClientRect();
    const point = pane.pointAt(event.clientX - box.left, event.clientY - box.top);
    this.point = point;
    this.drawSoon();
    if (pane.isPrior) return;
    for (const [name, kind] of [["lesions", "lesion"], ["structures", "vertebra"]]) {
      const volume = this.study.volumes.get(name);
      if (!volume || !this.shows[name]) continue;
      const [s, r, c] = volume.index(point).map(Math.round);
      if (s < 0 || r < 0 || c < 0 || s >= volume.slices || r >= volume.rows || c >= volume.columns) continue;
      const value = volume.data[(s * volume.rows + r) * volume.columns + c];
      if (value && (name === "lesions" || value < BODY_LIMIT)) return this.onPick(`${kind}-${value}`);
    }
  }
}

/** Bring points of one study to the same place of another: by vertebrae that both have, nearer ones counting more.
 * The analysis has matched them if it compared these two studies; else vertebrae of one name are taken for the same. */
export function shiftByVertebrae(from, to, { sameFrame, matches }) {
  const same = matches ? (v) => to.find((w) => matches.some((m) => m.instance === v.instance && m.prior_instance === w.instance))
    : (v) => v.level && to.find((w) => w.level === v.level);
  const pairs = from.flatMap((v) => {
    const other = same(v);
    return other ? [[v.centroid_lps_mm, other.centroid_lps_mm.map((x, i) => x - v.centroid_lps_mm[i])]] : [];
  });
  if (sameFrame || !pairs.length) return (point) => point;
  return (point) => {
    let sum = 0;
    const total = [0, 0, 0];
    for (const [at, by] of pairs) {
      const weight = 1 / (1 + at.reduce((s, v, i) => s + (v - point[i]) ** 2, 0));
      sum += weight;
      for (let i = 0; i < 3; i++) total[i] += weight * by[i];
    }
    return point.map((v, i) => v + total[i] / sum);
  };
}
