// Ways to hold a picture to the scanner: drop, paste, choose, camera. All end in one POST of bytes.
import { t } from "./words.js";
import { post, say } from "./say.js";

const $ = (id) => document.getElementById(id);
const LOOK_MS = 700;
let limit = 8 * 1024 * 1024;
let stream = null;
let looking = 0;

export async function scanBlob(blob, { quiet = false } = {}) {
  if (blob.size > limit) {
    say(t("tooLarge"), "bad");
    return false;
  }
  const answer = await post("/api/scan", blob, blob.type || "application/octet-stream");
  if (!answer) return false;
  $("scanner").classList.remove("flash");
  if (!answer.powered) say(t("sawDark"), "bad");
  else if (answer.codes) {
    void $("scanner").offsetWidth; // restart the flash
    $("scanner").classList.add("flash");
    say(t("saw"), "good");
  } else if (!quiet) say(t("sawNone"), "bad");
  return answer.codes > 0;
}

function fromDataUrl(url) {
  const match = /^data:(image\/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)$/.exec(url.trim());
  if (!match) return null;
  const bytes = Uint8Array.from(atob(match[2].replace(/\s/g, "")), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type: match[1] });
}

async function fromUrl(url) {
  const blob = fromDataUrl(url);
  if (blob) return blob;
  if (new URL(url, location.href).origin !== location.origin) throw new Error("elsewhere");
  return (await fetch(url)).blob();
}

// A picture given as a URL: data:, or of this page's own server.
export async function scanUrl(url) {
  try {
    await scanBlob(await fromUrl(url));
  } catch (error) {
    say(t(error.message === "elsewhere" ? "elsewhere" : "lost"), "bad");
  }
}

// The picture in what was dropped or pasted: a file, or an <img> dragged from another page.
async function picture(data) {
  const file = [...data.files].find((f) => f.type.startsWith("image/"));
  if (file) return file;
  const html = data.getData("text/html");
  if (html) {
    const image = new DOMParser().parseFromString(html, "text/html").querySelector("img[src]");
    if (image) return fromUrl(image.getAttribute("src"));
  }
  const uri = data.getData("text/uri-list") || data.getData("text/plain");
  const first = uri.split(/\r?\n/).find((line) => line && !line.startsWith("#"));
  if (first && /^(data:image\/|https?:|\/)/.test(first)) return fromUrl(first);
  return null;
}

async function take(data, otherwise) {
  try {
    const blob = await picture(data);
    if (blob) await scanBlob(blob);
    else say(t(otherwise), "bad");
  } catch (error) {
    say(error.message === "elsewhere" ? t("elsewhere") : t("failed", error.message), "bad");
  }
}

async function pasteButton() {
  let items;
  try {
    items = await navigator.clipboard.read();
  } catch {
    say(t("noClipboard"), "bad");
    return;
  }
  for (const item of items) {
    const type = item.types.find((name) => name.startsWith("image/"));
    if (type) {
      await scanBlob(await item.getType(type));
      return;
    }
  }
  say(t("nothingToPaste"), "bad");
}

function stopCamera() {
  clearInterval(looking);
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  $("video").hidden = true;
  $("camera").setAttribute("aria-pressed", "false");
}

async function camera() {
  if (stream) {
    stopCamera();
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    say(t("noCamera", error.message), "bad");
    return;
  }
  const video = $("video");
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
  $("camera").setAttribute("aria-pressed", "true");
  const canvas = document.createElement("canvas");
  looking = setInterval(() => {
    if (!video.videoWidth) return;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(async (blob) => {
      if (blob && stream && (await scanBlob(blob, { quiet: true }))) stopCamera();
    }, "image/jpeg", 0.85);
  }, LOOK_MS);
}

export function prepareScan(config) {
  limit = config.max_image_bytes;
  const targets = [$("scanner"), $("cabinet"), $("scan-card")];
  for (const target of targets) {
    target.addEventListener("dragover", (event) => {
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      $("scanner").classList.add("aim");
    });
    target.addEventListener("dragleave", () => $("scanner").classList.remove("aim"));
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      $("scanner").classList.remove("aim");
      take(event.dataTransfer, "notImage");
    });
  }
  // A picture that misses the scanner must not replace the page.
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => event.preventDefault());
  }
  document.addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    take(event.clipboardData, "nothingToPaste");
  });
  for (const id of ["scanner", "choose"]) $(id).addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (file) await scanBlob(file);
  });
  $("paste").addEventListener("click", pasteButton);
  $("camera").addEventListener("click", camera);
}
