// What all pages share: elements, errors, numbers, colours.
export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function fail(sentence) {
  $("failed").textContent = sentence;
  $("failed").hidden = false;
}

export async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("the program does not answer; is it still running?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error ?? `the program answered ${answer.status}`);
}

export const percent = (share) => `${Math.round(100 * share)} %`;
export const seconds = (time) => `${time.toFixed(1)} s`;

export const about = await ask("api/version");
export const expressions = Object.keys(about.expressions);

export function table(where, heads, rows) {
  const line = element("tr", {}, ...heads.map(([text, left]) => element("th", { scope: "col", textContent: text, className: left ? "text" : "" })));
  const body = rows.map((cells) =>
    element("tr", {}, ...cells.map((cell, k) => element("td", { className: heads[k][1] ? "text" : "" }, cell ?? ""))));
  where.replaceChildren(element("thead", {}, line), element("tbody", {}, ...body));
}

export function legend(where) {
  where.replaceChildren(...expressions.map((name) => {
    const colour = element("i");
    colour.style.background = about.expressions[name];
    return element("li", {}, colour, name);
  }));
}

// Boxes and labels of some rows on a canvas that lies over a picture of the given size.
export function drawBoxes(canvas, rows, width, height) {
  const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
  canvas.width = box.width * ratio;
  canvas.height = box.height * ratio;
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const left = (canvas.width - width * scale) / 2, top = (canvas.height - height * scale) / 2;
  const pen = canvas.getContext("2d");
  const size = Math.max(13, Math.min(20, box.width / 34)) * ratio;
  pen.font = `600 ${size}px system-ui, sans-serif`;
  pen.lineWidth = Math.max(2, size / 7);
  for (const row of rows) {
    const colour = about.expressions[row.label] ?? "#ffffff";
    const [x, y, w, h] = [left + row.left * scale, top + row.top * scale, row.width * scale, row.height * scale];
    pen.strokeStyle = pen.fillStyle = colour;
    pen.strokeRect(x, y, w, h);
    const words = `${row.face}  ${row.label ?? "not sure"} ${percent(row.confidence)}`;
    const plate = pen.measureText(words).width + size;
    const at = Math.max(0, Math.min(x, canvas.width - plate)), above = Math.max(0, y - size * 1.5);
    pen.fillRect(at, above, plate, size * 1.5);
    pen.fillStyle = "#10151b";
    pen.fillText(words, at + size / 2, above + size * 1.1);
  }
}
