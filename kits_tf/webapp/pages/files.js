// What a person drops or chooses, as scans to send: [{ name, files, reference }], and sentences about what is not sent.
const IMAGE = "imaging.nii.gz", MASK = "segmentation.nii.gz";
const KNOWN = /\.(nii|nii\.gz|zip)$/i;

// The files of an <input>, as [{ file, folders }].
export const chosen = input => [...input.files].map(file => ({ file, folders: file.webkitRelativePath.split("/").slice(0, -1) }));

// What was dropped, as [{ file, folders }]; of a folder also the files of the folders within it.
export async function dropped(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry()).filter(Boolean);
  const files = [];
  async function walk(entry, folders) {
    if (entry.isFile) {
      files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), folders });
      return;
    }
    const reader = entry.createReader();
    for (;;) {  // a reader gives a hundred at a time
      const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!part.length) return;
      for (const inner of part) await walk(inner, [...folders, entry.name]);
    }
  }
  for (const entry of entries) await walk(entry, []);
  return files;
}

// A case's folder is its image, with its mask beside it; another NIfTI or zip file is a scan by itself; the other files of
// a folder are the slices of one.
export function scansOf(files) {
  const visible = files.filter(({ file, folders }) => ![...folders, file.name].some(name => name.startsWith(".") || name === "__MACOSX"));
  const cases = new Map();
  for (const each of visible) if (each.file.name === IMAGE) cases.set(each.folders.join("/"), { image: each, others: 0 });
  const scans = [], slices = new Map();
  for (const { file, folders } of visible) {
    const own = caseOf(cases, folders);
    if (own?.image.file === file) continue;
    if (own && file.name === MASK && folders.length === own.image.folders.length) own.mask = file;
    else if (own) own.others += 1;
    else if (KNOWN.test(file.name)) scans.push({ name: file.name, files: [file] });
    else slices.set(folders[0] ?? "", [...(slices.get(folders[0] ?? "") ?? []), file]);
  }
  const notes = [];
  for (const { image, mask, others } of cases.values()) {
    const name = image.folders.at(-1) ?? image.file.name;
    scans.push({ name, files: [image.file], reference: mask });
    if (others) notes.push(`${name}: only ${IMAGE}${mask ? ` and ${MASK}` : ""} are used, ${others} other ${others === 1 ? "file is" : "files are"} not.`);
  }
  // Loose slices have names that say nothing: the server takes their patient's.
  for (const [folder, parts] of slices) scans.push({ name: folder || (parts.length === 1 ? parts[0].name : ""), files: parts });
  if (!files.length) notes.push("There is no file in what you gave.");
  else if (!scans.length) notes.push("There is no scan in what you gave, only hidden files.");
  return { scans, notes };
}

// The case in whose folder, or in a folder of it, a file lies.
function caseOf(cases, folders) {
  for (let depth = folders.length; depth >= 0; depth--) {
    const found = cases.get(folders.slice(0, depth).join("/"));
    if (found) return found;
  }
  return undefined;
}
