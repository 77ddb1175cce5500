"use strict";
// Two loops: one reads the stream of pictures, the other what is to be said about them. Text only ever goes in as text.
const byId = (id) => document.getElementById(id);
const STATES = {
  connecting: "Connecting", live: "Live", stale: "Stale", waiting: "Waiting", hidden: "No picture", full: "Full", lost: "Disconnected",
};
const NOTHING = { connecting: "Connecting to the agent…", live: "Connecting to the agent…", waiting: "No frame yet" };
const ENDED = "The agent does not answer. Is kubectl port-forward still running? Trying again.";
const SILENT = 4000; // ms without an answer after which the agent counts as lost

let report = null;      // the last answer
let answered = -Infinity; // when it came
let refused = "";       // why there is no stream although there are pictures
let frame = 0;          // the number of the frame on the screen
let reading = new AbortController();

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function text(id, value) {
  const element = byId(id);
  if (element.textContent !== value) element.textContent = value;
}

function age(seconds) {
  if (seconds < 9.95) return seconds.toFixed(1) + " s";
  if (seconds < 120) return Math.floor(seconds) + " s";
  if (seconds < 7200) return Math.floor(seconds / 60) + " min";
  return Math.floor(seconds / 3600) + " h";
}

function state() {
  if (performance.now() - answered > SILENT) return report || answered > -Infinity ? "lost" : "connecting";
  return report.state === "live" && refused ? "full" : report.state;
}

function show() {
  const now = state();
  const message = { lost: ENDED, full: refused }[now] ?? report?.message ?? "";
  document.body.dataset.state = now;
  text("state", STATES[now]);
  text("banner", now === "connecting" ? "" : message);
  const visible = frame > 0 && !["waiting", "hidden", "full", "connecting"].includes(now);
  byId("picture").hidden = !visible;
  byId("nothing").hidden = visible;
  byId("picture").classList.toggle("past", now === "lost");
  byId("list").classList.toggle("past", now !== "live");
  text("nothing", NOTHING[now] ?? "No picture");
  if (!report) return;
  document.title = `${STATES[now]}: ${report.node}, ${report.model} ${report.version}`;
  text("fps", now === "live" || now === "full" ? report.fps.toFixed(1) : now === "stale" ? "0" : "–");
  const since = report.frame && report.frame.ageSeconds + (performance.now() - answered) / 1000;
  text("age", report.frame ? age(since) : "–");
}

function row(item) {
  const part = (kind, name) => Object.assign(document.createElement(kind), { className: name });
  const level = part("span", "level");
  level.setAttribute("aria-hidden", "true");
  level.append(document.createElement("i"));
  const swatch = part("span", "swatch");
  swatch.setAttribute("aria-hidden", "true");
  item.append(swatch, part("span", "class"), part("span", "box"), level, part("span", "value"));
  return item;
}

function list(found, colours) {
  const list = byId("list");
  while (list.children.length < found.length) list.append(row(document.createElement("li")));
  while (list.children.length > found.length) list.lastChild.remove();
  found.forEach((each, k) => {
    const item = list.children[k];
    const [swatch, name, box, level, value] = item.children;
    swatch.style.background = colours.get(each.class);
    level.firstChild.style.width = `${100 * each.confidence}%`;
    for (const [element, words] of [
      [name, each.class], [value, each.confidence.toFixed(2)], [box, each.box.map(Math.round).join(", ")],
    ]) if (element.textContent !== words) element.textContent = words;
  });
}

function tell() {
  const { frame: of, detections, thresholds, viewers } = report;
  for (const id of ["model", "version", "node", "group", "rollout"]) text(id, report[id]);
  text("sha", report.sha256.slice(0, 12));
  byId("sha").title = report.sha256;
  byId("copy").hidden = !navigator.clipboard;
  text("confidence", String(thresholds.confidence));
  text("iou", String(thresholds.iou));
  text("viewers", `${viewers.watching} of ${viewers.limit}`);
  text("size", of ? `${of.width} × ${of.height} px` : "");
  text("count", of ? String(detections.length) : "–");
  text("none", of ? "The model found nothing on this frame." : "Nothing to list yet.");
  byId("none").hidden = detections.length > 0;
  byId("list").hidden = detections.length === 0;
  list(detections, new Map(report.classes.map((each) => [each.name, each.colour])));
}

let asking = null;
async function ask() {
  // at most one question at a time: an answer that is late must not overtake the next
  asking ??= (async () => {
    try {
      const answer = await fetch(`detections.json?frame=${frame}`, { signal: AbortSignal.timeout(SILENT) });
      if (!answer.ok) throw new Error(await answer.text());
      report = await answer.json();
      answered = performance.now();
      tell();
    } catch {
      // said by the state, once the silence has lasted
      if (answered === -Infinity && performance.now() > SILENT) answered = performance.now() - SILENT - 1;
    }
    asking = null;
    show();
  })();
  return asking;
}

async function paint(data, number) {
  const picture = byId("picture");
  const before = picture.src;
  picture.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
  await picture.decode().catch(() => {});
  if (before) URL.revokeObjectURL(before);
  frame = number;
  ask();
}

/** Read a multipart stream: headers, an empty line, as many bytes as the headers say, the separator. */
async function read(body) {
  const reader = body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    for (;;) {
      const head = new TextDecoder("latin1").decode(rest.subarray(0, 500));
      const size = /Content-Length: (\d+)/.exec(head);
      const number = /X-Frame: (\d+)/.exec(head);
      const start = head.indexOf("\r\n\r\n") + 4;
      if (start < 4 || !size || rest.length < start + Number(size[1])) break;
      const data = rest.slice(start, start + Number(size[1]));
      rest = rest.slice(start + data.length);
      await paint(data, Number(number[1]));
    }
  }
}

async function watch() {
  let again = false; // it was full already: once may be this page's own last stream, which has not ended yet
  for (;;) {
    if (document.hidden) { // nobody looks: the place is free for somebody else
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
      continue;
    }
    if (report && ["live", "stale"].includes(report.state)) {
      reading = new AbortController();
      try {
        const boxes = byId("boxes").checked ? 1 : 0;
        const answer = await fetch(`stream?boxes=${boxes}`, { signal: reading.signal });
        const full = answer.status === 429;
        refused = full && again ? await answer.text() : "";
        again = full;
        if (answer.ok) await read(answer.body);
      } catch {
        refused = ""; // the questions go on, and say whether the agent is there
      }
      show();
      if (refused) await wait(4000);
    }
    await wait(reading.signal.aborted ? 150 : 500);
    reading = new AbortController();
  }
}

byId("boxes").addEventListener("change", () => reading.abort());
document.addEventListener("visibilitychange", () => document.hidden && reading.abort());
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(report.sha256);
  byId("copy").firstChild.textContent = "Copied";
  await wait(1500);
  byId("copy").firstChild.textContent = "Copy";
});
setInterval(show, 250);
setInterval(ask, 1000);
ask().then(watch);
