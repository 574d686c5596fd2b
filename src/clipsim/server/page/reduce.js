// A large image → a smaller copy of it, made in the browser, from which the model sees nearly the same.

const LARGE_PIXELS = 4_000_000; // of larger JPEGs, the server decodes a fraction of the size itself
const LARGE_BYTES = 1_000_000; // a smaller file is soon sent, and goes as it is
const OVERSAMPLING = [8, 4, 2]; // the shorter side of a copy in sides of the model's images; the first that may be sent
const WORTHWHILE = 0.75; // a copy whose sides are longer than this part of the image's saves little
const QUALITY = 0.95; // of JPEG; with eight sides it keeps the vector within 0.9999 in cosine

/**
 * A copy of an image file as `{blob, width, height}`, or null where the file goes as it is: it is small, or the browser
 * cannot read it. `side` is that of the model's images, `room` the bytes that may be sent.
 */
export async function reduce(file, side, room) {
  const fits = file.size <= room;
  if (!side || (fits && file.size < LARGE_BYTES) || await isCmyk(file)) return null;
  let image = null;
  try {
    // as the server reads it: upright, and without its colour profile
    image = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    const scales = OVERSAMPLING.map((factor) => (factor * side) / Math.min(image.width, image.height));
    if (fits && (image.width * image.height < LARGE_PIXELS || scales[0] > WORTHWHILE)) return null;
    for (const scale of scales) {
      const copy = await draw(image, Math.min(1, scale));
      if (copy.blob !== null && copy.blob.size <= room) return copy;
    }
    return null;
  } catch {
    return null; // a format that this browser does not know, or more pixels than it has memory for
  } finally {
    image?.close();
  }
}

async function draw(image, scale) {
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, Math.round(length * scale)));
  const small = await createImageBitmap(image, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // what the server puts behind what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(small, 0, 0);
  small.close();
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
  return { blob, width, height };
}

// Browsers convert the colours of printing in ways of their own.
async function isCmyk(file) {
  const view = new DataView(await file.slice(0, 1 << 18).arrayBuffer());
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return false;
  for (let at = 2; at + 10 <= view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return view.getUint8(at + 9) === 4;
    at += 2 + view.getUint16(at + 2);
  }
  return false;
}
