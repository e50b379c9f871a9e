// Starts the page's program. Everything else is Rust: see dashboard/src.
const kept = (() => {
  try {
    return localStorage.getItem("weir-theme");
  } catch {
    return null;
  }
})();
if (kept === "dark" || kept === "light") {
  document.documentElement.dataset.theme = kept;
}

// The page /sql loads it when it is there: see dashboard/src/page/query/editor.rs.
globalThis.weirEditor = () => import("./{{editor}}");

try {
  const { default: init } = await import("./{{bindings}}");
  await init({ module_or_path: new URL("./{{wasm}}", import.meta.url) });
} catch (error) {
  console.error(error);
  document.getElementById("boot")?.classList.add("failed");
}
