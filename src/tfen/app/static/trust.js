// How far a result can be trusted: how well the face was seen, and what that leaves of its label.
import { about } from "./common.js";

const limits = about.trust;

export function doubts(row) {
  const turned = [row.yaw, row.pitch].some((angle) => angle !== null && Math.abs(angle) > limits.most_turn);
  return [
    ...(row.size !== null && row.size < limits.least_size ? ["small"] : []),
    ...(row.sharpness !== null && row.sharpness < limits.least_sharpness ? ["blurred"] : []),
    ...(turned ? ["turned"] : []),
  ];
}

export const isClear = (row) => row.label !== null && doubts(row).length === 0;
export const turn = (row) => Math.max(Math.abs(row.yaw ?? 0), Math.abs(row.pitch ?? 0));

// "82 pixels, sharpness 0.61, turned 12°"
export function viewOf(row) {
  return `${Math.round(row.size)} pixels, sharpness ${row.sharpness.toFixed(2)}, turned ${Math.round(turn(row))}°`;
}

export function verdict(row, percent) {
  const why = doubts(row);
  if (why.length) return `cannot be judged: ${why.join(", ")}`;
  return row.label === null ? "not sure" : `${row.label} ${percent(row.confidence)}`;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
}

// What is typical of a face over several rows, as if it were one.
export function typical(rows) {
  const of = (name) => median(rows.map((row) => row[name]).filter((value) => value !== null));
  const turned = median(rows.map(turn));
  return { size: of("size"), sharpness: of("sharpness"), yaw: turned, pitch: 0 };
}
