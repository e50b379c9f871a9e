//! Short names for what the program calls of its bindings: wasm-bindgen names each after its content, and sixteen digits that
//! nothing compresses stand in both files.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use walrus::Module;

/// The module that the bindings are, as the program imports it.
const BINDINGS: &str = "./weir_bg.js";

/// Renames the imports of `wasm`, and returns `script`, the bindings, with the same names.
///
/// # Errors
/// The bindings do not have each of them at the start of one line.
pub(super) fn shorten(wasm: &mut Module, script: &str) -> Result<String> {
    let mut names = HashMap::new();
    for import in wasm.imports.iter_mut().filter(|import| import.module == BINDINGS) {
        let short = format!("_{}", names.len());
        names.insert(std::mem::replace(&mut import.name, short.clone()), short);
    }
    rename(&names, script)
}

fn rename(names: &HashMap<String, String>, script: &str) -> Result<String> {
    let mut n_renamed = 0;
    let mut renamed = String::with_capacity(script.len());
    for line in script.split_inclusive('\n') {
        let member =
            line.trim_start().split_once(": ").and_then(|(name, rest)| Some((names.get(name)?, rest)));
        match member {
            Some((short, rest)) => {
                n_renamed += 1;
                renamed.extend([short, ": ", rest]);
            }
            None => renamed.push_str(line),
        }
    }
    ensure!(n_renamed == names.len(), "the bindings have {n_renamed} of {} functions", names.len());
    Ok(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_renamed_and_nothing_else_is() {
        let names = HashMap::from([("__wbg_push_1".to_owned(), "_0".to_owned())]);
        let script =
            "const import0 = {\n  __wbg_push_1: function(a) {\nreturn __wbg_push_1;\n},\n__wbg_pop_2: 1 }";
        let renamed = rename(&names, script).expect("each is there");
        assert_eq!(
            renamed,
            "const import0 = {\n_0: function(a) {\nreturn __wbg_push_1;\n},\n__wbg_pop_2: 1 }"
        );
        assert!(rename(&names, "{ __wbg_push_1: 1 }").is_err(), "not at the start of a line");
    }
}
