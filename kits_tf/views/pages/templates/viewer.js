// The viewer: NiiVue and a case's volumes are unpacked when they come into view. Without WebGL 2 there are figures only.
(() => {
  const volumes = JSON.parse(document.getElementById("volumes").textContent);
  const form = document.querySelector("#viewer form"), box = document.querySelector("#viewer .canvas");
  const say = text => { form.querySelector("output").textContent = text; };
  const bytesOf = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));
  let niivue = null, shown = null;

  async function start() {
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new Error("this browser has no WebGL 2: the figures of the cases show the same");
    }
    const packed = bytesOf(document.getElementById("niivue-module").textContent);
    const source = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const { Niivue, OPTIONS } = await import(url);
    URL.revokeObjectURL(url);
    niivue = new Niivue(OPTIONS);
    await niivue.attachToCanvas(document.getElementById("niivue"));
  }

  async function load(caseId) {
    const files = volumes.cases[caseId];
    for (const volume of [...niivue.volumes]) niivue.removeVolume(volume);
    for (const [i, layer] of volumes.layers.entries()) {
      await niivue.loadFromArrayBuffer(bytesOf(files.files[i]).buffer, `${layer.name}.nii.gz`);
      if (layer.colors) niivue.volumes[i].setColormapLabel(layer.colors);
      else Object.assign(niivue.volumes[i], { cal_min: 0, cal_max: 255 });
    }
    niivue.scene.crosshairPos = niivue.mm2frac(files.focus_mm);
    shown = caseId;
  }

  function adjust() {
    const kinds = { multiplanar: "Multiplanar", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal", render: "Render" };
    niivue.setSliceType(niivue[`sliceType${kinds[form.elements.view.value]}`]);
    for (const [i, layer] of volumes.layers.entries()) niivue.setOpacity(i, Number(form.elements[layer.name].value));
    niivue.updateGLVolume();
  }

  async function show() {
    say("loading");
    try {
      if (!niivue) await start();
      const caseId = form.elements.case.value;
      if (shown !== caseId) await load(caseId);
      adjust();
      say(`${shown}, voxels of about ${volumes.cases[shown].voxel_mm} mm`);
    } catch (error) {
      box.classList.add("off");
      say(`The viewer cannot run: ${error.message}`);
    }
  }

  let last = Promise.resolve();
  const showNext = () => {  // one after the other: loading takes its time
    comingIntoView.disconnect();
    box.querySelector("p").hidden = true;
    box.setAttribute("aria-busy", "true");
    const showing = last = last.then(show);
    showing.then(() => { if (last === showing) box.setAttribute("aria-busy", "false"); });
  };

  const comingIntoView = new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) showNext();
  }, { threshold: 0.2 });
  comingIntoView.observe(box);
  box.addEventListener("click", () => { if (!niivue) showNext(); });
  form.addEventListener("input", showNext);
  const button = document.querySelector("#case-dialog [name=view]");
  button.addEventListener("click", () => {
    const caseId = document.getElementById("case-heading").textContent;
    document.getElementById("case-dialog").close();
    document.getElementById("viewer").scrollIntoView();
    if (!volumes.cases[caseId]) return say(`${caseId} has no volumes in this file`);
    form.elements.case.value = caseId;
    showNext();
  });
})();
