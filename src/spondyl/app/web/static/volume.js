// Volumes as the server lays them out: slices, rows, columns, with the affine that says where each voxel lies (LPS, mm).

/** Invert an affine given as rows of a 4 x 4 matrix. */
export function inverse(m) {
  const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = m;
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const r = [
    [(e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det],
    [(f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det],
    [(d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det],
  ];
  return [...r.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)]), [0, 0, 0, 1]];
}

export function multiply(m, n) {
  return m.map((row) => [0, 1, 2, 3].map((j) => row[0] * n[0][j] + row[1] * n[1][j] + row[2] * n[2][j] + row[3] * n[3][j]));
}

export function apply(m, p) {
  return [0, 1, 2].map((i) => m[i][0] * p[0] + m[i][1] * p[1] + m[i][2] * p[2] + m[i][3]);
}

const AXES = [["L", "R"], ["P", "A"], ["S", "I"]];
const OBLIQUE = 0.34; // direction cosine from which a second letter is shown: 20 degrees off the body axis

/** Name a direction in the patient: one letter, or two where it is oblique. */
export function letters(direction) {
  const length = Math.hypot(...direction);
  return direction.map((v, k) => [Math.abs(v) / length, AXES[k][v < 0 ? 1 : 0]])
    .filter(([size]) => size >= OBLIQUE).sort((a, b) => b[0] - a[0]).slice(0, 2).map(([, letter]) => letter).join("");
}

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array };
const PARALLEL = 0.9998; // cosine of about one degree

export class Volume {
  constructor(meta, data) {
    Object.assign(this, meta);
    this.data = data;
    this.toIndex = inverse(meta.affine);
    [this.slices, this.rows, this.columns] = meta.shape;
    this.normal = [0, 1, 2].map((i) => meta.affine[i][0] / meta.spacing_mm[0]);
    const across = [0, 1, 2].map((i) => meta.affine[i][1] / meta.spacing_mm[1]);
    const along = [0, 1, 2].map((i) => meta.affine[i][2] / meta.spacing_mm[2]);
    this.edges = { left: letters(along.map((v) => -v)), right: letters(along), top: letters(across.map((v) => -v)), bottom: letters(across) };
  }

  static async load(url, meta) {
    const answer = await fetch(`${url}/${encodeURIComponent(meta.name)}`);
    if (!answer.ok) throw new Error(`The images could not be loaded (${answer.status}).`);
    const data = new ARRAYS[meta.dtype](await answer.arrayBuffer());
    if (data.length !== meta.shape.reduce((a, b) => a * b)) throw new Error("The images arrived incomplete. Load the page again.");
    return new Volume(meta, data);
  }

  toLps(index) { return apply(this.affine, index); }
  index(point) { return apply(this.toIndex, point); }
  slice(k) { return this.data.subarray(k * this.rows * this.columns, (k + 1) * this.rows * this.columns); }
  isParallel(other) { return Math.abs(this.normal.reduce((s, v, k) => s + v * other.normal[k], 0)) > PARALLEL; }

  /** Slice nearest to a point, and whether the volume reaches there. */
  nearest(point) {
    const k = this.index(point)[0];
    return { k: Math.min(Math.max(Math.round(k), 0), this.slices - 1), reaches: k > -1 && k < this.slices };
  }
}

/**
 * What an overlay shows in one slice of an image: pixels, and where they lie among the pixels of the image as the
 * six numbers of a canvas transform. Parallel stacks share their own slices; others are looked up voxel by voxel.
 */
export function overlaySlice(overlay, image, k) {
  if (overlay.isParallel(image)) {
    const middle = image.toLps([k, (image.rows - 1) / 2, (image.columns - 1) / 2]);
    const near = Math.round(overlay.index(middle)[0]);
    if (near < 0 || near >= overlay.slices) return null;
    const m = multiply(image.toIndex, overlay.affine); // overlay index to image index
    const at = (r, c) => { const p = apply(m, [near, r, c]); return [p[2] + 0.5, p[1] + 0.5]; };
    const o = at(-0.5, -0.5), dx = at(-0.5, 0.5), dy = at(0.5, -0.5);
    return {
      key: `${overlay.name}/${near}`, pixels: overlay.slice(near), rows: overlay.rows, columns: overlay.columns,
      transform: [dx[0] - o[0], dx[1] - o[1], dy[0] - o[0], dy[1] - o[1], o[0], o[1]],
    };
  }
  const m = multiply(overlay.toIndex, image.affine);
  const pixels = new Uint8Array(image.rows * image.columns);
  for (let r = 0, n = 0; r < image.rows; r++) {
    for (let c = 0; c < image.columns; c++, n++) {
      const s = Math.round(m[0][0] * k + m[0][1] * r + m[0][2] * c + m[0][3]);
      const y = Math.round(m[1][0] * k + m[1][1] * r + m[1][2] * c + m[1][3]);
      const x = Math.round(m[2][0] * k + m[2][1] * r + m[2][2] * c + m[2][3]);
      if (s >= 0 && s < overlay.slices && y >= 0 && y < overlay.rows && x >= 0 && x < overlay.columns) {
        pixels[n] = overlay.data[(s * overlay.rows + y) * overlay.columns + x];
      }
    }
  }
  return { key: `${overlay.name}/${image.name}/${k}`, pixels, rows: image.rows, columns: image.columns, transform: [1, 0, 0, 1, 0, 0] };
}

/** Trace each label of a slice: a smooth outline, its middle and its front edge, in pixels of the slice. */
export function outlines(pixels, rows, columns) {
  const boxes = new Map();
  for (let r = 0, n = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, n++) {
      const label = pixels[n];
      if (!label) continue;
      const b = boxes.get(label);
      if (!b) boxes.set(label, { top: r, bottom: r, left: c, right: c, count: 1, sumR: r, sumC: c });
      else {
        b.bottom = r;
        if (c < b.left) b.left = c;
        if (c > b.right) b.right = c;
        b.count++; b.sumR += r; b.sumC += c;
      }
    }
  }
  const found = new Map();
  for (const [label, box] of boxes) {
    found.set(label, { path: trace(pixels, columns, label, box), row: box.sumR / box.count, column: box.sumC / box.count, left: box.left, count: box.count });
  }
  return found;
}

const PAD = 3;

function trace(pixels, columns, label, box) {
  const h = box.bottom - box.top + 1 + 2 * PAD, w = box.right - box.left + 1 + 2 * PAD;
  let field = new Float32Array(h * w);
  for (let r = box.top; r <= box.bottom; r++) {
    const from = r * columns, to = (r - box.top + PAD) * w + PAD - box.left;
    for (let c = box.left; c <= box.right; c++) if (pixels[from + c] === label) field[to + c] = 1;
  }
  // A finding of a few voxels would vanish if it were smoothed.
  for (let n = 0; n < (box.count < 12 ? 0 : box.count < 40 ? 1 : 2); n++) field = blur(field, h, w);
  return contour(field, h, w, box.left - PAD + 0.5, box.top - PAD + 0.5);
}

// Marching squares: which edges of a cell each line joins (0 top, 1 right, 2 bottom, 3 left), by the corners inside.
const LINES = [[], [3, 0], [0, 1], [3, 1], [1, 2], [3, 0, 1, 2], [0, 2], [3, 2], [2, 3], [2, 0], [0, 1, 2, 3], [2, 1], [1, 3], [1, 0], [0, 3], []];

/** Join the lines at one half to closed curves: far fewer strokes, and dashes that run on. */
function contour(field, h, w, x0, y0) {
  const places = new Map(), joins = new Map();
  const join = (a, b) => { if (joins.has(a)) joins.get(a).push(b); else joins.set(a, [b]); };
  for (let r = 0; r < h - 1; r++) {
    for (let c = 0; c < w - 1; c++) {
      const n = r * w + c;
      const a = field[n], b = field[n + 1], d = field[n + w], e = field[n + w + 1];
      const lines = LINES[(a > 0.5) | ((b > 0.5) << 1) | ((e > 0.5) << 2) | ((d > 0.5) << 3)];
      for (let k = 0; k < lines.length; k += 2) {
        const ends = [lines[k], lines[k + 1]].map((side) => {
          const id = [2 * n, 2 * (n + 1) + 1, 2 * (n + w), 2 * n + 1][side];
          if (!places.has(id)) {
            places.set(id, side === 0 ? [c + (0.5 - a) / (b - a), r] : side === 1 ? [c + 1, r + (0.5 - b) / (e - b)]
              : side === 2 ? [c + (0.5 - d) / (e - d), r + 1] : [c, r + (0.5 - a) / (d - a)]);
          }
          return id;
        });
        join(ends[0], ends[1]);
        join(ends[1], ends[0]);
      }
    }
  }
  const path = new Path2D(), seen = new Set();
  for (const first of places.keys()) {
    if (seen.has(first)) continue;
    let at = first;
    let start = true;
    while (at !== undefined) {
      seen.add(at);
      const [x, y] = places.get(at);
      if (start) path.moveTo(x0 + x, y0 + y);
      else path.lineTo(x0 + x, y0 + y);
      start = false;
      at = joins.get(at).find((next) => !seen.has(next));
    }
    path.closePath();
  }
  return path;
}

/** Smooth by (1, 2, 1) both ways, which hides the steps of the voxels. */
function blur(field, h, w) {
  const half = new Float32Array(h * w), whole = new Float32Array(h * w);
  for (let r = 0; r < h; r++) for (let c = 1; c < w - 1; c++) {
    const n = r * w + c;
    half[n] = (field[n - 1] + 2 * field[n] + field[n + 1]) / 4;
  }
  for (let r = 1; r < h - 1; r++) for (let c = 0; c < w; c++) {
    const n = r * w + c;
    whole[n] = (half[n - w] + 2 * half[n] + half[n + w]) / 4;
  }
  return whole;
}
