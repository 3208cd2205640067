// The camera, now: pictures go out, boxes and bars come back.
import { $, about, attributes, element, expressions, fail, percent } from "./common.js";
import { drawBoxes } from "./boxes.js";
import { isClear, verdict, viewOf } from "./trust.js";

const RATE = 12; // pictures in a second
const OLD = 1.5; // seconds after which what was told is not shown any more
const video = $("video"), small = element("canvas");
let socket = null, timer = 0, rows = [], camera = null;

const bars = new Map(expressions.map((name) => {
  const inner = element("div"), number = element("span", { textContent: "" });
  inner.style.background = about.expressions[name].colour;
  $("bars").append(element("span", { textContent: name }), element("div", { className: "bar" }, inner), number);
  return [name, [inner, number]];
}));
$("trust").textContent = about.trust.sentences[about.weights[0]];

$("start").addEventListener("click", async () => {
  fail("");
  $("start").disabled = true; // one camera at a time
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
    video.srcObject = camera;
    await video.play();
  } catch {
    camera?.getTracks().forEach((track) => track.stop());
    $("start").disabled = false;
    $("start").focus();
    return fail("the camera cannot be used; allow it in the browser, or choose a film");
  }
  nobody();
  $("stage").hidden = $("told").hidden = false;
  $("stop").disabled = false;
  $("stop").focus(); // the button that had it is switched off
  $("state").textContent = "Connecting";
  socket = new WebSocket(new URL("api/live", location.href).href.replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { $("state").textContent = "Looking"; timer = setInterval(send, 1000 / RATE); };
  socket.onmessage = (event) => { rows = JSON.parse(event.data).rows; told(); };
  socket.onclose = (event) => { if (socket) { stop(); fail(event.reason || "the connection to the program broke off"); } };
  draw();
});
$("start").disabled = false;
$("stop").addEventListener("click", stop);

function stop() {
  clearInterval(timer);
  const open = socket;
  socket = null;
  open?.close();
  camera?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  nobody();
  $("stage").hidden = $("told").hidden = true;
  $("start").disabled = false;
  if (document.activeElement === $("stop") || document.activeElement === document.body) $("start").focus();
  $("stop").disabled = true;
  $("state").textContent = "Stopped";
}

function send() {
  if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 0) return; // the newest picture alone
  small.width = 480;
  small.height = Math.round(480 * video.videoHeight / video.videoWidth) || 270;
  small.getContext("2d").drawImage(video, 0, 0, small.width, small.height);
  const time = performance.now() / 1000;
  small.toBlob(async (blob) => {
    if (!blob || !socket) return;
    const head = new DataView(new ArrayBuffer(8));
    head.setFloat64(0, time);
    socket.send(new Blob([head.buffer, blob]));
  }, "image/jpeg", 0.8);
}

function nobody() {
  rows = [];
  $("label").textContent = "nobody";
  $("view").textContent = $("delay").textContent = "";
  for (const [inner, number] of bars.values()) {
    inner.style.width = "0";
    number.textContent = "";
  }
}

function told() {
  const seen = rows.filter((row) => row.face !== null).sort((a, b) => b.width - a.width)[0];
  if (!seen) return nobody();
  $("label").textContent = isClear(seen) ? seen.label : verdict(seen, percent);
  $("view").textContent = `${isClear(seen) ? `${percent(seen.confidence)}; ` : ""}${viewOf(seen)}.`;
  $("bars").classList.toggle("unclear", !isClear(seen));
  for (const [name, [inner, number]] of bars) {
    inner.style.width = `${100 * seen[name]}%`;
    attributes(inner, { "data-share": seen[name] });
    number.textContent = percent(seen[name]);
  }
  const delay = performance.now() / 1000 - seen.time;
  $("delay").textContent = `Shown ${delay.toFixed(1)} s after the picture was taken.`;
  $("delay").dataset.seconds = delay;
}

function draw() {
  if (!socket) return;
  const now = performance.now() / 1000;
  if (rows.length && rows.every((row) => now - row.time >= OLD)) nobody(); // no answer came for long
  drawBoxes($("overlay"), rows.filter((row) => row.face !== null && now - row.time < OLD), small.width || 480, small.height || 270);
  requestAnimationFrame(draw);
}
