// What was dropped on the page → its files, those in folders too.

// those that `clipsim rank` opens in a folder, RAW files of cameras among them
const SUFFIXES = [
  "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "bmp", "dib", "tif", "tiff", "pgm", "ppm", "pbm", "pnm", "pfm",
  "jp2", "j2k", "jpf", "jpx", "avif", "avifs", "ico", "icns", "tga", "qoi", "mpo", "pcx", "sgi", "dds", "heic", "heif",
  "cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2",
];

/** What a chooser of files offers. */
export const ACCEPTED = ["image/*", ...SUFFIXES.map((suffix) => `.${suffix}`)].join();

/** Whether a file is an image by its name or type; the server judges by its content. */
function isImage(file) {
  return file.type.startsWith("image/") || SUFFIXES.includes(file.name.split(".").pop().toLowerCase());
}

/** The files that may be images, and the names of the others; a name without a suffix says nothing. */
export function partition(files) {
  const images = files.filter((file) => isImage(file) || (file.type === "" && !file.name.includes(".")));
  return { images, others: files.filter((file) => !images.includes(file)).map((file) => file.name) };
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
