// A film or photograph: sent, watched while it is worked on, shown with its timeline.
import { $, about, ask, drawBoxes, element, expressions, fail, legend, percent, seconds, table } from "./common.js";

const limits = about.limits;
$("limits").textContent = `At most ${limits.megabytes} MB and ${limits.seconds} seconds of film.`;
let chosen = null, job = null, stream = null;

function choose(file) {
  chosen = file ?? null;
  $("start").disabled = !chosen;
}
$("file").addEventListener("change", () => choose($("file").files[0]));
for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  $("choose").addEventListener(name, (event) => {
    event.preventDefault();
    $("choose").classList.toggle("over", over);
    if (name === "drop" && event.dataTransfer.files.length) {
      $("file").files = event.dataTransfer.files;
      choose(event.dataTransfer.files[0]);
    }
  });
}
choose($("file").files[0]); // chosen before this page was ready
$("choose").addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen) analyze(chosen, chosen.name);
});

let recorder = null;
$("record").addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  try {
    const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
    const pieces = [];
    recorder = new MediaRecorder(camera, { mimeType: "video/webm" });
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      camera.getTracks().forEach((track) => track.stop());
      recorder = null;
      $("record").textContent = "Record with the camera";
      analyze(new Blob(pieces, { type: "video/webm" }), "recording.webm");
    };
    recorder.start();
    $("record").textContent = "Stop recording and analyze";
    setTimeout(() => recorder?.stop(), 1000 * limits.seconds);
  } catch {
    fail("the camera cannot be used; allow it in the browser, or choose a film");
  }
});
$("record").disabled = false;

async function analyze(file, name) {
  $("failed").hidden = $("found").hidden = true;
  if (file.size > limits.megabytes * 2 ** 20) return fail(`${name} is larger than ${limits.megabytes} MB`);
  $("working").hidden = false;
  $("choose").hidden = true;
  $("doing").textContent = `Sending ${name}`;
  $("progress").removeAttribute("value");
  try {
    const query = new URLSearchParams({ name, annotate: $("annotate").checked });
    job = await ask(`api/jobs?${query}`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    await watch();
    if (job) show(await ask(`api/jobs/${job.id}/results`), file);
  } catch (error) {
    fail(error.message);
  }
  $("working").hidden = true;
  $("choose").hidden = false;
}

function watch() {
  return new Promise((finished, failed) => {
    stream = new EventSource(`api/jobs/${job.id}/events`);
    stream.addEventListener("state", (event) => {
      const state = JSON.parse(event.data);
      $("doing").textContent = state.state === "waiting" ? "Waiting for another film to end" : `Looking at ${state.name}: ${state.results} results`;
      if (state.state === "working" && state.share) $("progress").value = state.share;
      if (state.state === "done") { stream.close(); finished(); }
      if (state.state === "failed") { stream.close(); failed(new Error(state.error)); }
    });
    stream.onerror = () => { stream.close(); job ? failed(new Error("the connection broke off")) : finished(); };
    $("cancel").onclick = () => {
      ask(`api/jobs/${job.id}`, { method: "DELETE" }).catch(() => {});
      stream.close();
      job = null;
      finished();
    };
  });
}

let playing = 0;
function show(whole, file) {
  const still = whole.kind === "photograph";
  const faces = new Map();
  for (const row of whole.results) {
    if (row.face === null) continue;
    if (!faces.has(row.face)) faces.set(row.face, []);
    faces.get(row.face).push(row);
  }
  const address = URL.createObjectURL(file);
  const picture = still ? element("img", { src: address, alt: `The photograph ${whole.name}` })
    : element("video", { src: address, controls: true, playsInline: true, muted: true });
  if (!still) picture.setAttribute("aria-label", `The film ${whole.name}`);
  const overlay = element("canvas");
  $("stage").replaceChildren(picture, overlay);
  picture.onerror = () => {
    if ($("annotate").checked && picture.src === address) picture.src = `api/jobs/${whole.id}/film.mp4`;
    else if (!still) fail("this browser cannot play the film; the results are below");
  };
  $("found").hidden = false;
  legend($("legend"));
  const end = Math.max(0.2, ...whole.results.map((row) => row.time)) + about.step;
  const lines = still ? [] : [...faces].sort((a, b) => b[1].length - a[1].length).slice(0, 8).sort((a, b) => a[0] - b[0]);
  $("timeline").replaceChildren(...lines.flatMap(([face, rows]) => timeline(face, rows, end, picture)));
  $("hint").hidden = still;
  cancelAnimationFrame(playing);
  const size = () => still ? [picture.naturalWidth, picture.naturalHeight] : [picture.videoWidth, picture.videoHeight];
  const frame = () => {
    const [width, height] = size();
    if (width) drawBoxes(overlay, at(faces, still ? 0 : picture.currentTime), width, height);
    for (const cursor of document.querySelectorAll(".timeline canvas")) cursor.mark?.(picture.currentTime);
    playing = requestAnimationFrame(frame);
  };
  frame();
  const jump = (time) => {
    const button = element("button", { type: "button", textContent: seconds(time), disabled: still });
    button.addEventListener("click", () => { picture.currentTime = time; picture.scrollIntoView({ block: "nearest" }); });
    return button;
  };
  table($("people"), [["Face"], ["From"], ["To"], ["Mostly", true], ["Confidence"], ...expressions.map((name) => [name])],
    whole.summary.map((one) => [one.face, jump(one.first), jump(one.last), one.main, percent(one.confidence),
      ...expressions.map((name) => percent(one[`share_${name}`]))]));
  if (!whole.summary.length) $("people").replaceChildren(element("caption", { textContent: "No face was seen." }));
  table($("episodes"), [["Face"], ["Expression", true], ["Onset"], ["Apex"], ["Offset"], ["Lasts"], ["Peak"]],
    whole.episodes.map((one) => [one.face, one.expression, jump(one.onset), jump(one.apex), jump(one.offset), seconds(one.duration), percent(one.peak)]));
  if (!whole.episodes.length) $("episodes").replaceChildren(element("caption", { textContent: still ? "A photograph has no episodes." : "No expression but neutral was shown." }));
  const files = ["results.csv", "episodes.csv", "summary.csv", "results.jsonl", ...($("annotate").checked && !still ? ["film.mp4"] : [])];
  $("downloads").replaceChildren(...files.map((name) => element("a", { className: "button", href: `api/jobs/${whole.id}/${name}`, download: name, textContent: name })));
  $("found").scrollIntoView({ block: "start" });
}

// The rows of a time, boxes half-way between two steps.
function at(faces, time) {
  const found = [];
  for (const rows of faces.values()) {
    let k = rows.findIndex((row) => row.time > time);
    if (k < 0) k = rows.length;
    const before = rows[k - 1], after = rows[k];
    if (!before) { if (after && after.time - time < 0.05) found.push(after); continue; }
    if (time - before.time > 2 * about.step) continue;
    const share = after && after.time - before.time < 3 * about.step ? (time - before.time) / (after.time - before.time) : 0;
    const mixed = { ...(share < 0.5 || !after ? before : after) };
    for (const name of ["left", "top", "width", "height"]) mixed[name] = before[name] + share * ((after ?? before)[name] - before[name]);
    found.push(mixed);
  }
  return found;
}

function timeline(face, rows, end, video) {
  const canvas = element("canvas", { tabIndex: 0, width: 1200, height: 96 });
  for (const [name, value] of Object.entries({ role: "slider", "aria-label": `Face ${face} over time, seconds`, "aria-valuemin": 0, "aria-valuemax": end.toFixed(1), "aria-valuenow": 0 })) canvas.setAttribute(name, value);
  const pen = canvas.getContext("2d"), plot = element("canvas", { width: 1200, height: 96 }), inner = plot.getContext("2d");
  for (const row of rows) {
    let y = plot.height;
    const x = row.time / end * plot.width, width = about.step / end * plot.width + 1;
    for (const name of expressions) {
      const height = row[name] * plot.height;
      inner.fillStyle = about.expressions[name];
      inner.fillRect(x, y - height, width, height + 0.5);
      y -= height;
    }
  }
  canvas.mark = (time) => {
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(plot, 0, 0);
    pen.fillStyle = getComputedStyle(document.body).color;
    pen.fillRect(time / end * canvas.width - 2, 0, 4, canvas.height);
    canvas.setAttribute("aria-valuenow", time.toFixed(1));
  };
  const seek = (event) => {
    const box = canvas.getBoundingClientRect();
    video.currentTime = Math.max(0, Math.min(end, (event.clientX - box.left) / box.width * end));
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); seek(event); });
  canvas.addEventListener("pointermove", (event) => event.buttons && seek(event));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (event.key === "Home") video.currentTime = 0;
    else if (event.key === "End") video.currentTime = end;
    else if (step) video.currentTime = Math.max(0, Math.min(end, video.currentTime + step));
    else return;
    event.preventDefault();
  });
  return [element("span", { textContent: `face ${face}` }), canvas];
}
