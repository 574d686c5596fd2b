// What was dropped on the page → its files, those in folders too.

const SUFFIXES = /\.(avif|bmp|gif|heic|heif|ico|j2k|jp2|jpe?g|jfif|mpo|pbm|pgm|png|ppm|qoi|tga|tiff?|webp)$/i;

/** Whether a file looks like an image by its name or type; the server judges by its content. */
export function isImage(file) {
  return file.type.startsWith("image/") || SUFFIXES.test(file.name);
}

/** The files that were dropped, and the images in folders that were dropped, by name. */
export async function filesOf(dropped) {
  // both lists are empty as soon as the event is over
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const files = [...dropped.files];
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  const found = await Promise.all(entries.filter((entry) => entry !== null).map((entry) => filesIn(entry)));
  return found.flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => { entry.file(resolve, reject); })];
  const reader = entry.createReader();
  const entries = [];
  for (let some; ; entries.push(...some)) { // a folder is read in parts
    some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (some.length === 0) break;
  }
  entries.sort((a, b) => a.name.localeCompare(b.name));
  const found = await Promise.all(entries.map((inner) => filesIn(inner)));
  return found.flat().filter(isImage);
}
