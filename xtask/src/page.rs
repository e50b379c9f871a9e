//! Builds the dashboard without downloads: cargo makes the wasm, wasm-bindgen's library the bindings, brotli the files
//! that the server sends as they are.
//!
//! ```text
//! dashboard/src ── cargo ──► wasm ── split ─┬─► main ── wasm-bindgen ──► weir.wasm, weir.js ─┐
//!                                           └─► parts.js, part-*.wasm ───────────────────────┤
//! dashboard/static ── names filled in, style/*.css joined ──► index.html, … ─────────────────┴─► dashboard/dist,
//!                                                                                               each with its .br
//!                └── as they are: editor.js and fonts, made by scripts/editor.sh and scripts/fonts.sh
//! ```
//!
//! Invariants:
//! 1. A file whose name carries its hash never changes: it may be cached for ever. Only `index.html` and `favicon.svg`
//!    keep their names.
//! 2. `index.html` is written last and old files are removed after it, so that a page that is being served never names
//!    a file that is not there.
//! 3. Where nothing changed nothing is written: the server that embeds the folder is not built anew.
//! 4. What a browser loads first stays within [`BUDGET_BYTES`], and what it loads for a page within
//!    [`PART_BUDGET_BYTES`]; more is an error here, not a surprise later.

mod names;
mod split;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use split::Cut;

/// Brotli bytes of everything that a first visit loads.
const BUDGET_BYTES: usize = 200_000;
/// Brotli bytes of one file of a part.
const PART_BUDGET_BYTES: usize = 150_000;
/// What the names of parts' files begin with: they are loaded when their page is first shown.
const PART: &str = "part-";
/// And the name of the editor's, which the page /sql loads behind its part.
const EDITOR: &str = "editor-";
/// The parts of the style sheet in the order in which they are joined: a page's looks may build on those before.
const STYLE: [&str; 8] = ["tokens", "base", "shell", "overview", "pipeline", "board", "query", "letters"];
/// The fonts by the names that the style sheet and the page have for them.
const FONTS: [&str; 3] = ["sans", "sans-accented", "mono"];
/// What a first visit does not load: what belongs to a page, and the fonts of letters that it does not show.
const LATER: [&str; 4] = [PART, EDITOR, "sans-accented-", "mono-"];
/// Change it when this file writes something else for the same input.
const FORMAT: &str = "page 6";
const STAMP: &str = ".stamp";

/// The files of the folder by name, in the order in which they are written.
type Files = Vec<(String, Vec<u8>)>;

/// Builds the dashboard of the repository at `root`.
///
/// # Errors
/// The dashboard does not compile, or is larger than its budget.
pub(crate) fn build(root: &Path) -> Result<ExitCode> {
    let started = Instant::now();
    let dist = root.join("dashboard/dist");
    eprintln!("building the dashboard for wasm (the first time takes a minute or two)");
    let wasm = compile(root)?;
    let statics = read_statics(&root.join("dashboard/static"))?;

    let wasm_bytes = fs::read(&wasm).with_context(|| format!("could not read {}", wasm.display()))?;
    let fonts = read_fonts(&root.join("dashboard/static/fonts"))?;
    let stamp = stamp(&wasm_bytes, &statics, &fonts);
    if fs::read_to_string(dist.join(STAMP)).is_ok_and(|old| old == stamp) {
        eprintln!("dashboard/dist is up to date");
        return Ok(ExitCode::SUCCESS);
    }
    let cut = split::cut(&wasm_bytes, &wasm.with_file_name("weir_dashboard_parts"))?;
    let files = with_brotli(assemble(&cut, &statics, fonts)?)?;
    write(&dist, &files, &stamp)?;
    report(&files, started)
}

/// Runs cargo and returns the path of the wasm it made.
fn compile(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", "weir-dashboard", "--lib", "--profile", "page"])
        .args(["--target", "wasm32-unknown-unknown", "--message-format", "json-render-diagnostics"])
        // Components of one type instead of a type for each: some 2 % less to load. Relocations: what reaches what.
        .env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "--cfg erase_components -Clink-args=--emit-relocs",
        )
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("could not run cargo")?;
    ensure!(output.status.success(), "the dashboard does not compile");
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    wasm_path(&messages).context("cargo did not say where the wasm is")
}

/// Finds the wasm in cargo's messages, one JSON object a line.
fn wasm_path(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == "weir_dashboard";
        let names = message["filenames"].as_array().filter(|_| is_ours)?;
        names.iter().filter_map(|name| name.as_str()).find(|name| name.ends_with(".wasm")).map(PathBuf::from)
    })
}

/// The fonts, whose names the style sheet has.
fn read_fonts(folder: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let read = |name: &'static str| {
        let path = folder.join(format!("{name}.woff2"));
        Ok((name, fs::read(&path).with_context(|| format!("could not read {}", path.display()))?))
    };
    FONTS.into_iter().map(read).collect()
}

fn read_statics(folder: &Path) -> Result<BTreeMap<&'static str, String>> {
    let text = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    };
    let read = |name: &'static str| Ok((name, text(folder.join(name))?));
    let mut statics: BTreeMap<_, _> =
        ["index.html", "boot.js", "editor.js", "favicon.svg"].into_iter().map(read).collect::<Result<_>>()?;
    let parts = STYLE.iter().map(|part| text(folder.join(format!("style/{part}.css"))));
    statics.insert("style.css", compact(&parts.collect::<Result<Vec<_>>>()?.join("\n")));
    Ok(statics)
}

/// A style sheet without comments and indentation, which only people read.
fn compact(style: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(style.len()), style);
    while let Some((before, behind)) = rest.split_once("/*") {
        text.push_str(before);
        rest = behind.split_once("*/").map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What the folder is made of; equal stamps make equal folders.
fn stamp(wasm: &[u8], statics: &BTreeMap<&str, String>, fonts: &[(&str, Vec<u8>)]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(wasm);
    let texts = statics.values().map(String::as_bytes);
    for bytes in texts.chain(fonts.iter().map(|(_, bytes)| &bytes[..])) {
        hasher.write(bytes);
        hasher.write_u8(0xff);
    }
    format!("{FORMAT} {:016x}\n", hasher.finish())
}

/// Makes all files but the compressed ones.
fn assemble(
    cut: &Cut,
    statics: &BTreeMap<&str, String>,
    fonts: Vec<(&'static str, Vec<u8>)>,
) -> Result<Files> {
    let mut output = Bindgen::new()
        .input_bytes("weir", cut.main.clone())
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .keep_lld_exports(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()
        .context("wasm-bindgen failed")?;
    ensure!(
        output.snippets().values().all(Vec::is_empty) && output.local_modules().is_empty(),
        "a dependency brings JavaScript of its own, which this build does not copy"
    );
    let bindings = output.js().to_owned();
    let bindings = names::shorten(output.wasm_mut(), &bindings)?;
    let wasm = output.wasm_mut().emit_wasm();

    let mut files = Files::new();
    let mut names = BTreeMap::new();
    let mut loader = cut.loader.clone();
    for (name, bytes) in &cut.files {
        let file = format!("{PART}{}-{}.wasm", name.trim_start_matches("split_"), hash(bytes));
        loader = rename(&loader, "URL(", &format!("./{name}.wasm"), &file)?;
        files.push((file, bytes.clone()));
    }
    let mut add = |key: &'static str, stem: &str, ending: &str, hash: String, bytes: Vec<u8>| {
        let name = format!("{stem}-{hash}.{ending}");
        names.insert(key, name.clone());
        files.push((name, bytes));
        names.clone()
    };
    add("wasm", "weir", "wasm", hash(&wasm), wasm);
    // Each of the two names the other: one hash of both.
    let both = hash(format!("{bindings}{loader}").as_bytes());
    let bindings_of_loader = rename(&bindings, "from ", split::LOADER, &format!("parts-{both}.js"))?;
    add("bindings", "weir", "js", both.clone(), bindings_of_loader.into_bytes());
    let loader = rename(&loader, "from ", split::BINDINGS, &format!("weir-{both}.js"))?;
    add("loader", "parts", "js", both, loader.into_bytes());
    let editor = statics["editor.js"].clone().into_bytes();
    add("editor", "editor", "js", hash(&editor), editor);
    let mut known = BTreeMap::new();
    for (name, bytes) in fonts {
        known = add(name, name, "woff2", hash(&bytes), bytes);
    }
    let style = fill(&statics["style.css"], &known)?.into_bytes();
    let known = add("style", "style", "css", hash(&style), style);
    let boot = fill(&statics["boot.js"], &known)?.into_bytes();
    let known = add("boot", "boot", "js", hash(&boot), boot);
    files.push(("favicon.svg".into(), statics["favicon.svg"].clone().into_bytes()));
    files.push(("index.html".into(), fill(&statics["index.html"], &known)?.into_bytes()));
    Ok(files)
}

/// Replaces the name of a file behind `before` in a script. Elsewhere it stays: the program knows the loader by it.
fn rename(script: &str, before: &str, name: &str, file: &str) -> Result<String> {
    let old = format!("{before}\"{name}\"");
    ensure!(script.contains(&old), "a script that was made does not name \"{name}\"");
    Ok(script.replace(&old, &format!("{before}\"./{file}\"")))
}

/// Replaces each `{{key}}` by the name of its file.
fn fill(template: &str, names: &BTreeMap<&str, String>) -> Result<String> {
    let mut text = template.to_owned();
    for (key, name) in names {
        text = text.replace(&format!("{{{{{key}}}}}"), name);
    }
    if let Some((_, behind)) = text.split_once("{{") {
        bail!("\"{}\" names no file", behind.split("}}").next().unwrap_or(behind));
    }
    Ok(text)
}

fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}

/// Adds the compressed form of each file, in front of it.
fn with_brotli(files: Files) -> Result<Files> {
    let mut all = Files::new();
    for (name, bytes) in files {
        let parameters = brotli::enc::BrotliEncoderParams {
            quality: 11,
            lgwin: 22,
            size_hint: bytes.len(),
            ..Default::default()
        };
        let mut compressed = Vec::new();
        brotli::BrotliCompress(&mut bytes.as_slice(), &mut compressed, &parameters)
            .with_context(|| format!("could not compress {name}"))?;
        all.push((format!("{name}.br"), compressed));
        all.push((name, bytes));
    }
    Ok(all)
}

fn write(dist: &Path, files: &Files, stamp: &str) -> Result<()> {
    let explain = || format!("could not write {}", dist.display());
    fs::create_dir_all(dist).with_context(explain)?;
    for (name, bytes) in files {
        fs::write(dist.join(name), bytes).with_context(explain)?;
    }
    for entry in fs::read_dir(dist).with_context(explain)? {
        let entry = entry.with_context(explain)?;
        let is_known =
            entry.file_name().to_str().is_some_and(|name| files.iter().any(|(known, _)| known == name));
        if !is_known && entry.file_type().with_context(explain)?.is_file() {
            fs::remove_file(entry.path()).with_context(explain)?;
        }
    }
    fs::write(dist.join(STAMP), stamp).with_context(explain)
}

fn report(files: &Files, started: Instant) -> Result<ExitCode> {
    let (mut first, mut largest) = (0, 0);
    for pair in files.chunks_exact(2) {
        let [(_, compressed), (name, plain)] = pair else { continue };
        eprintln!("{:>9} {:>9} br  {name}", plain.len(), compressed.len());
        if name.starts_with(PART) {
            largest = largest.max(compressed.len());
        }
        if !LATER.iter().any(|later| name.starts_with(later)) {
            first += compressed.len();
        }
    }
    eprintln!(
        "first load: {first} bytes of brotli of {BUDGET_BYTES}; largest part: {largest} of {PART_BUDGET_BYTES}; took {:.1} s",
        started.elapsed().as_secs_f64()
    );
    ensure!(first <= BUDGET_BYTES, "the first load is {} bytes over its budget", first - BUDGET_BYTES);
    ensure!(largest <= PART_BUDGET_BYTES, "a part is {} bytes over its budget", largest - PART_BUDGET_BYTES);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_loses_what_only_people_read() {
        let style = "/* a\n * b */\n.x {\n  /* c */\n  color: red; /* d */\n}\n\n.y{}\n";
        assert_eq!(compact(style), ".x {\ncolor: red;\n}\n.y{}");
    }

    #[test]
    fn wasm_is_found_in_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"filenames":["/t/libserde.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"weir_dashboard"},"filenames":["/t/a.rlib","/t/a.wasm"]}"#,
            "\nnot JSON\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(wasm_path(messages), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(wasm_path("{}"), None);
    }

    #[test]
    fn template_with_an_unknown_name_is_refused() {
        let names = BTreeMap::from([("style", "style-1.css".to_owned())]);
        assert_eq!(fill(r#"href="/{{style}}""#, &names).expect("known"), r#"href="/style-1.css""#);
        let refused = fill("{{styel}}", &names).expect_err("no such name");
        assert_eq!(refused.to_string(), "\"styel\" names no file");
    }

    #[test]
    fn script_is_renamed_only_where_it_loads() {
        let script = r#"import * as a from "./parts.js"; const known = { "./parts.js": a };"#;
        let renamed = r#"import * as a from "./parts-1.js"; const known = { "./parts.js": a };"#;
        assert_eq!(rename(script, "from ", "./parts.js", "parts-1.js").expect("named"), renamed);
        assert!(rename(script, "from ", "./other.js", "other-1.js").is_err());
    }

    #[test]
    fn folder_holds_each_file_with_its_brotli_and_no_old_ones() {
        let folder = std::env::temp_dir().join(format!("weir-xtask-{}", std::process::id()));
        let files =
            |name: &str| with_brotli(vec![(name.into(), b"new new new new".to_vec())]).expect("compresses");
        write(&folder, &files("old.js"), "1").expect("writes");
        write(&folder, &files("new.js"), "2").expect("writes");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, [STAMP, "new.js", "new.js.br"]);
        fs::remove_dir_all(&folder).expect("removes");
    }
}
