// A text as a QR picture: PNG, black on white, with the quiet zone of four modules in it.

import qrcode from "../vendor/qrcode-generator.mjs";

const QUIET = 4;
const MODULE_PX = 12;

/** A PNG data URL. The text must be of QR's alphanumeric letters. */
export function qrPicture(text) {
  const code = qrcode(0, "M");
  code.addData(text, "Alphanumeric");
  code.make();
  const modules = code.getModuleCount();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = (modules + 2 * QUIET) * MODULE_PX;
  const ink = canvas.getContext("2d", { alpha: false });
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, canvas.width, canvas.height);
  ink.fillStyle = "#000";
  for (let row = 0; row < modules; row++) {
    for (let column = 0; column < modules; column++) {
      if (code.isDark(row, column)) {
        ink.fillRect((column + QUIET) * MODULE_PX, (row + QUIET) * MODULE_PX, MODULE_PX, MODULE_PX);
      }
    }
  }
  return canvas.toDataURL("image/png");
}

/** Put the picture of an <img> (a PNG data URL) on the clipboard. Rejects where that is forbidden. */
export function copyPicture(image) {
  const bytes = Uint8Array.from(atob(image.src.split(",")[1]), (c) => c.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  return navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}
