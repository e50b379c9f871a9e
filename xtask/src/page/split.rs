//! Cuts the program that cargo made into what every visit loads and parts that are loaded when they are first shown.
//!
//! ```text
//!                     ┌─► main.wasm ── wasm-bindgen ─► weir-….wasm
//! wasm with its ──────┼─► parts.js    which files a part is of, and how they are put in
//! relocations         └─► split_NAME.wasm, chunk_N.wasm   code of one part, code that several parts share
//! ```
//!
//! A part is what only a function marked `#[wasm_split(NAME, …)]` reaches; see `dashboard/README.md`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use wasm_split_cli_support::{Options, transform};

/// The name under which the program and its bindings import the loader.
pub(super) const LOADER: &str = "./parts.js";
/// The name under which the loader imports the bindings.
pub(super) const BINDINGS: &str = "./weir.js";

/// What a program was cut into.
pub(super) struct Cut {
    /// What wasm-bindgen takes.
    pub(super) main: Vec<u8>,
    /// JavaScript; it imports [`BINDINGS`] and names each file of `files` as `"./NAME.wasm"`.
    pub(super) loader: String,
    /// By name, sorted.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// Cuts `wasm`; `folder` is made anew for what lies between.
///
/// # Errors
/// The wasm was not linked with its relocations, or the folder can't be written.
pub(super) fn cut(wasm: &[u8], folder: &Path) -> Result<Cut> {
    let explain = || format!("could not use {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(explain)?;
    }
    let main_path = folder.join("main.wasm");
    let mut options = Options::new(wasm);
    options.output_dir = folder;
    options.main_out_path = &main_path;
    options.link_name = LOADER;
    options.main_module = BINDINGS;
    let split =
        transform(options).map_err(|error| anyhow!("the program can't be cut into parts: {error:#}"))?;

    let mut files = Vec::new();
    for path in &split.split_modules {
        let name = path.file_stem().and_then(|name| name.to_str()).context("a part has no name")?;
        let bytes = fs::read(path).with_context(explain)?;
        files.push((name.to_owned(), pack(&bytes).with_context(|| format!("{name} can't be read"))?));
    }
    files.sort();
    let main = fs::read(main_path).with_context(explain)?;
    let loader = fs::read_to_string(folder.join(LOADER)).with_context(explain)?;
    Ok(Cut { main, loader, files })
}

/// Writes a part again without names and with numbers as short as they can be: the linker leaves room in each for
/// relocation.
fn pack(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = walrus::ModuleConfig::new()
        .generate_name_section(false)
        .generate_producers_section(false)
        .parse(wasm)?;
    let customs: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in customs {
        module.customs.delete(id);
    }
    Ok(module.emit_wasm())
}
