//! Names of files with `*` and `?` in them.

use std::io;
use std::path::Path;

/// The names of the files of a folder that fit a pattern, ascending.
pub(super) fn list(folder: &Path, names: &str) -> io::Result<Vec<String>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // A link to a file is one, too.
        if fits(names.as_bytes(), name.as_bytes()) && entry.path().is_file() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name fits a pattern. One that begins with a dot is hidden from a `*` or `?` there, as in a shell.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut at, mut i) = (0, 0);
    // Where the last star is, and what it took so far.
    let mut star: Option<(usize, usize)> = None;
    while i < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, i));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[i] => {
                at += 1;
                i += 1;
            }
            _ => match &mut star {
                Some((star_at, taken)) => {
                    *taken += 1;
                    (at, i) = (*star_at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.avro", "a.avro", true),
            ("*.avro", "a.avro.tmp", false),
            ("*.avro", ".a.avro", false),
            ("*", ".a", false),
            (".*", ".a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("*ab", "aab", true),
            ("orders", "orders", true),
            ("**", "x", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
