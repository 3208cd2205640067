// What all pages share: elements, requests, numbers, tables.
export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function attributes(where, values) {
  for (const [name, value] of Object.entries(values)) where.setAttribute(name, value);
  return where;
}

export function fail(sentence) {
  $("failed").textContent = sentence;
  $("failed").hidden = !sentence;
}

export async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("the program does not answer; is it still running?");
  }
  if (answer.status === 401) location.assign("login"); // the token is asked for again after the program was restarted
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const { error } = await answer.json().catch(() => ({}));
  throw new Error(error ?? `the program answered ${answer.status}`);
}

export const about = await ask("api/version");
export const expressions = Object.keys(about.expressions);

// A probability: nothing is ever certain.
export function percent(probability) {
  const rounded = Math.round(100 * probability);
  return rounded < 1 ? "< 1 %" : rounded > 99 ? "> 99 %" : `${rounded} %`;
}
// A share of what was counted, which may be all or nothing.
export function share(part) {
  return part === 0 || part === 1 ? `${100 * part} %` : percent(part);
}
export const seconds = (time) => `${time.toFixed(1)} s`;

// Columns: {text, left, help}; cells: texts or elements; faint: rows that are grey.
export function table(where, columns, rows, faint = () => false) {
  const heads = columns.map(({ text, left, help }) => {
    const head = element("th", { scope: "col", className: left ? "text" : "", textContent: text });
    if (help) head.title = help;
    return head;
  });
  const body = rows.map((cells, k) => element("tr", { className: faint(k) ? "faint" : "" },
    ...cells.map((cell, n) => element("td", { className: columns[n].left ? "text" : "" }, cell ?? ""))));
  where.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...body));
}

export function emptyTable(where, sentence) {
  where.replaceChildren(element("caption", { textContent: sentence }));
}
