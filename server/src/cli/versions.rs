//! What `check` tells of versions: those that a source reads, and what the next one would break.

use std::fmt::Write as _;
use std::path::Path;

use weir_connectors::kafka::type_of;

use super::Failure;
use crate::pipeline::{Preparer, Readable, Verdict};
use crate::project::{did_you_mean, read_file};

/// Lines on the versions of a source's subject; `None` where there is nothing to say.
pub(super) fn told(preparer: &Preparer, source: &str) -> Option<String> {
    match preparer.readable(source) {
        Ok(readable) => readable.map(|readable| lines(source, &readable)),
        Err(error) => Some(format!("sources/{source}.yaml: its versions are unchecked: {error}\n")),
    }
}

fn lines(source: &str, Readable { subject, reader, follows, versions }: &Readable) -> String {
    let reader = match reader {
        Some(version) => format!("version {version}"),
        None => "its file".to_owned(),
    };
    let follows = if *follows { " and followed" } else { "" };
    let mut text = format!("sources/{source}.yaml: \"{subject}\", read with {reader}{follows}\n");
    let is_fine = |Verdict { issues, breaks, gained }: &Verdict| {
        issues.is_empty() && breaks.is_empty() && gained.as_ref().is_ok_and(Vec::is_empty)
    };
    // Versions in a row of which there is nothing to say share a line.
    for group in versions.chunk_by(|(_, a), (_, b)| is_fine(a) && is_fine(b)) {
        let name = match group {
            [(first, _), .., (last, _)] => format!("versions {first} to {last}"),
            [(only, _)] => format!("version {only}"),
            [] => continue,
        };
        if let Some((_, verdict)) = group.first() {
            push(&mut text, &name, verdict);
        }
    }
    text
}

/// Lines on a schema that is to be the next version, as `SOURCE=FILE`, and whether it breaks nothing.
///
/// # Errors
/// [`Failure::Usage`] where there is no such source or file, or no schema in it; [`Failure::Failed`] where
/// the source itself could not be checked.
pub(super) fn told_next(preparer: &Preparer, next: &str) -> Result<(String, bool), Failure> {
    let usage = |why: String| Failure::Usage(format!("--next {next}: {why}"));
    let (source, file) = next
        .split_once('=')
        .ok_or_else(|| usage("say SOURCE=FILE, as in orders=orders-v4.avsc".to_owned()))?;
    let sources = &preparer.project().sources;
    if !sources.contains_key(source) {
        let hint = did_you_mean(source, sources.keys().map(String::as_str));
        return Err(usage(format!("there is no source \"{source}\"{hint}")));
    }
    let text =
        read_file(Path::new(file)).map_err(|error| usage(format!("could not read {file}: {error}")))?;
    let verdict = preparer.would_be(source, &text).map_err(|error| usage(error.to_string()))?;
    let verdict = verdict.ok_or_else(|| {
        Failure::Failed(format!("--next {next}: source \"{source}\" itself could not be checked"))
    })?;
    let mut lines = format!("sources/{source}.yaml: with a next version\n");
    push(&mut lines, file, &verdict);
    Ok((lines, verdict.issues.is_empty() && verdict.breaks.is_empty()))
}

fn push(text: &mut String, name: &str, Verdict { issues, breaks, gained }: &Verdict) {
    let read = match issues.as_slice() {
        [] => "read",
        issues if issues.iter().all(|issue| issue.conditional) => "read but for some values",
        _ => "not read: its records become dead letters",
    };
    // Writing to a String does not fail.
    writeln!(text, "  {name}: {read}").ok();
    for issue in issues {
        writeln!(text, "    {issue}").ok();
    }
    match gained {
        Ok(columns) if columns.is_empty() => {}
        Ok(columns) => {
            let columns: Vec<_> =
                columns.iter().map(|column| format!("\"{}\" {}", column.name, type_of(column))).collect();
            writeln!(text, "    the table gains {}", columns.join(", ")).ok();
        }
        Err(why) => drop(writeln!(text, "    {why}")),
    }
    if !breaks.is_empty() {
        writeln!(text, "    as the reader schema it would break").ok();
        for problem in breaks.sorted() {
            writeln!(text, "      {}", problem.to_string().replace('\n', "\n      ")).ok();
        }
    }
}
