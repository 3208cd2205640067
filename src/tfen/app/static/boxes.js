// Boxes and labels on a canvas that lies over a picture; the legend of their colours.
import { about, element, expressions, percent } from "./common.js";
import { isClear, verdict } from "./trust.js";

export const UNCLEAR = "#8b9098";
const INK_ON_UNCLEAR = "#10151b";

export function legend(where) {
  const item = (colour, ink, letters, name) => {
    const square = element("i", { textContent: letters });
    square.style.background = colour;
    square.style.color = ink;
    return element("li", {}, square, name);
  };
  const known = expressions.map((name) => item(about.expressions[name].colour, about.expressions[name].ink, about.expressions[name].letters, name));
  const unclear = element("i", { className: "hatched", textContent: "?" });
  where.replaceChildren(...known, element("li", {}, unclear, "cannot be judged, or not sure"));
}

// Rows of a moment, over a picture of the given size; names: what a face is called.
export function drawBoxes(canvas, rows, width, height, nameOf = (face) => `${face}`) {
  const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
  const wide = Math.round(box.width * ratio), high = Math.round(box.height * ratio);
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, wide, high);
  const scale = Math.min(wide / width, high / height);
  const left = (wide - width * scale) / 2, top = (high - height * scale) / 2;
  const size = Math.max(12, Math.min(18, box.width / 40)) * ratio;
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const faces = rows.map((row) => ({
    row, x: left + row.left * scale, y: top + row.top * scale, w: row.width * scale, h: row.height * scale,
    colour: isClear(row) ? about.expressions[row.label].colour : UNCLEAR,
    ink: isClear(row) ? about.expressions[row.label].ink : INK_ON_UNCLEAR,
  }));
  for (const face of faces) {
    pen.lineWidth = Math.max(4, size / 3.5); // a light edge: dark colours are seen on dark films, too
    pen.strokeStyle = "#ffffffb0";
    pen.strokeRect(face.x, face.y, face.w, face.h);
    pen.lineWidth = Math.max(2, size / 6);
    pen.strokeStyle = face.colour;
    pen.setLineDash(isClear(face.row) ? [] : [size / 2, size / 3]);
    pen.strokeRect(face.x, face.y, face.w, face.h);
    pen.setLineDash([]);
  }
  const taken = faces.map(({ x, y, w, h }) => [x, y, x + w, y + h]);
  for (const face of faces) {
    const { words, x, y, w, h } = place(pen, forms(face.row, nameOf), face, size, wide, high, taken);
    taken.push([x, y, x + w, y + h]);
    pen.fillStyle = face.colour;
    pen.fillRect(x, y, w, h);
    pen.fillStyle = face.ink;
    pen.fillText(words, x + size / 2, y + size * 1.1);
  }
}

// What may be written beside a face, from the longest to the shortest.
function forms(row, nameOf) {
  const name = nameOf(row.face);
  const short = isClear(row) ? about.expressions[row.label].letters : "?";
  return [`${name}  ${verdict(row, percent)}`, `${name} ${short}`, `${name}`];
}

// The first form and spot where a label covers no face and no other label; else the number in the face's own corner.
function place(pen, forms, face, size, wide, high, taken) {
  const h = size * 1.5;
  let words, w;
  for (words of forms) {
    w = pen.measureText(words).width + size;
    const spots = [
      ...[face.y - h, face.y + face.h].flatMap((y) => [face.x, face.x + face.w - w, face.x + (face.w - w) / 2].map((x) => [x, y])),
      ...[face.x + face.w, face.x - w].flatMap((x) => [face.y, face.y + face.h - h].map((y) => [x, y])),
    ];
    for (const [x, y] of spots) {
      const inside = x >= 0 && y >= 0 && x + w <= wide && y + h <= high;
      if (inside && !taken.some(([l, t, r, b]) => x < r - 1 && l + 1 < x + w && y < b - 1 && t + 1 < y + h)) return { words, x, y, w, h };
    }
  }
  return { words, w, h, x: Math.max(0, face.x), y: Math.min(face.y + face.h, high) - h };
}
