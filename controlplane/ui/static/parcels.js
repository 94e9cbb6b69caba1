// A release that somebody chose, as a folder, as its files, or as a tar (gzipped or not) of them: the manifest's bytes, and
// each file that it names as a Blob. Nothing is read into memory but headers and the manifest; the browser keeps what a
// gzip unpacks to. A tar that holds a link, a device or a name that leads out of it is refused whole.

const MANIFEST = "manifest.json", MOST_MANIFEST = 1 << 20, BLOCK = 512, MOST_MEMBERS = 10_000;
const NO_MANIFEST = "there is no manifest.json in it; make a release with 'longshore package' first";
const text = new TextDecoder();

// {manifest: Blob, said: the manifest as an object, find: path => Blob or undefined}. Throws an Error with a sentence.
export async function opened(files) {
  const chosen = [...files];
  if (chosen.length === 1) {
    const [file] = chosen, name = file.name.toLowerCase();
    if (name.endsWith(".onnx")) throw new Error(`${file.name} is a bare model; make a release of it first: longshore package ${file.name} --name NAME --version 1.0.0 -o NAME-1.0.0`);
    if (/\.(tar|tar\.gz|tgz)$/.test(name)) return parcel(await members(file));
    if (name !== MANIFEST) throw new Error(`${file.name} is no release: choose the folder that 'longshore package' wrote, its files, or a .tar or .tar.gz of them`);
  }
  return parcel(new Map(chosen.map((file) => [file.webkitRelativePath || file.name, file])));
}

// The manifest lies at the top or in the one folder; the files lie beside it.
async function parcel(found) {
  const places = [...found.keys()].filter((path) => path.split("/").pop() === MANIFEST).sort((one, other) => one.split("/").length - other.split("/").length);
  if (!places.length) throw new Error(NO_MANIFEST);
  const folder = places[0].slice(0, -MANIFEST.length), manifest = found.get(places[0]);
  if (manifest.size > MOST_MANIFEST) throw new Error("manifest.json is larger than 1 MiB");
  return { manifest, said: await parsed(manifest), find: (path) => found.get(folder + path) };
}

async function parsed(manifest) {
  try {
    const said = JSON.parse(await manifest.text());
    if (said.files.every(({ path, sha256, size }) => path && sha256 && Number.isInteger(size))) return said;
  } catch { /* told below */ }
  throw new Error("manifest.json is not a manifest of a release; package it again");
}

// ---- tar: ustar, with the long names of pax and GNU ----

async function members(file) {
  const tar = file.name.toLowerCase().endsWith("z") ? await unzipped(file) : file;
  const found = new Map();
  let at = 0, long = {}, count = 0;
  while (at + BLOCK <= tar.size) {
    const header = new Uint8Array(await tar.slice(at, at + BLOCK).arrayBuffer());
    if (header.every((byte) => byte === 0)) break;
    if (!sound(header)) throw new Error(`${file.name} is no tar, or it is damaged; make it again`);
    if (++count > MOST_MEMBERS) throw new Error(`${file.name} holds more than ${MOST_MEMBERS} entries, which no release does`);
    const kind = String.fromCharCode(header[156]), size = long.size || octal(header, 124, 12);
    const body = tar.slice(at + BLOCK, at + BLOCK + size);
    if (body.size < size) throw new Error(`${file.name} is cut short; make it again`);
    if (kind === "x") long = pax(await body.text());
    else if (kind === "L") long = { path: (await body.text()).replace(/\0+$/, "") };
    else if (kind !== "g") { add(found, kind, long.path || named(header), body, file.name); long = {}; }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  return found;
}

async function unzipped(file) {
  try {
    return await new Response(file.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
  } catch { throw new Error(`${file.name} is damaged or broken off; make it again`); }
}

function add(found, kind, path, body, where) {
  const parts = path.split("/").filter((part) => part && part !== ".");
  if (kind === "5") return;
  if (path.startsWith("/") || parts.includes("..")) throw new Error(`${where} holds '${path}', a name that leads out of it; package the release again`);
  if (kind !== "0" && kind !== "\0") throw new Error(`${where} holds '${path}', a link or no plain file; put the file itself in its place`);
  found.set(parts.join("/"), body);
}

const string = (header, from, length) => text.decode(header.subarray(from, from + length)).replace(/\0.*$/s, "");
const octal = (header, from, length) => parseInt(string(header, from, length).trim() || "0", 8);

function named(header) {
  const prefix = string(header, 257, 5) === "ustar" ? string(header, 345, 155) : "";
  return (prefix ? `${prefix}/` : "") + string(header, 0, 100);
}

// The checksum counts its own field as spaces.
function sound(header) {
  const sum = header.reduce((total, byte, place) => total + (place >= 148 && place < 156 ? 32 : byte), 0);
  return sum === octal(header, 148, 8);
}

function pax(records) {
  const path = /\d+ path=(.*)\n/.exec(records), size = /\d+ size=(\d+)\n/.exec(records);
  return { ...(path && { path: path[1] }), ...(size && { size: Number(size[1]) }) };
}
