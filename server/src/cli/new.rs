//! `new`: a small project to start from. It is `examples/new`, with the folder's name as the project's.
//!
//! Invariant: what is there is left alone: the folder is a new one, or empty.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::{Failure, talk};
use crate::project::is_project_name;

const FILES: [(&str, &str); 5] = [
    ("weir.yaml", include_str!("../../../examples/new/weir.yaml")),
    ("sources/orders.yaml", include_str!("../../../examples/new/sources/orders.yaml")),
    ("sources/orders.avsc", include_str!("../../../examples/new/sources/orders.avsc")),
    ("pipelines/revenue.yaml", include_str!("../../../examples/new/pipelines/revenue.yaml")),
    ("dashboards/orders.yaml", include_str!("../../../examples/new/dashboards/orders.yaml")),
];
/// The line of weir.yaml that the project's own name takes the place of.
const NAME: &str = "project: new\n";

/// Writes the project into `dir`, and says what to do with it.
///
/// # Errors
/// [`Failure::Usage`] where something is in the folder or its name can't be a project's; [`Failure::Failed`] where it can't
/// be written.
pub(super) fn command(dir: &Path) -> Result<(), Failure> {
    let shown = dir.display();
    let failed = |error: io::Error| Failure::Failed(format!("could not write to \"{shown}\": {error}"));
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => return Err(Failure::Usage(format!("\"{shown}\" is not empty: name a new folder"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let name = name_of(dir);
    if !is_project_name(&name) {
        let letters = "letters, digits, \"_\", \"-\" and \".\"";
        return Err(Failure::Usage(format!("\"{name}\" can't name a project: use {letters}")));
    }
    for (path, text) in FILES {
        let path = dir.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(path, text.replace(NAME, &format!("project: {name}\n"))).map_err(failed)?;
    }
    talk(&next(&shown.to_string()));
    Ok(())
}

/// The name of the folder, whether it is there or not.
fn name_of(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn next(dir: &str) -> String {
    format!(
        "A project with one source, one pipeline and one dashboard is in {dir}. Its files say what their keys do.

  1. Name your topic, its columns and its event time in {dir}/sources/orders.yaml, and your brokers in {dir}/weir.yaml.
  2. Write the SQL in {dir}/pipelines/revenue.yaml.
  3. weir check {dir}
  4. weir run {dir}       the dashboard is on http://127.0.0.1:8080

To try it as it is, with Kafka on localhost:9092, write an order to the topic \"orders\":

  echo '{{\"ordered_at\": \"'$(date -u +%FT%TZ)'\", \"order_id\": 1, \"country\": \"DE\", \"amount\": 12.50}}' |
    kafka-console-producer.sh --bootstrap-server localhost:9092 --topic orders
"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn files(dir: &Path) -> BTreeSet<PathBuf> {
        let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
    }

    #[test]
    fn all_files_of_the_example_are_written_and_bear_the_name_of_the_folder() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/new");
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("my.shop-2");
        command(&dir).unwrap();
        let relative = |root: &Path| -> BTreeSet<PathBuf> {
            files(root).iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect()
        };
        assert_eq!(relative(&dir), relative(&example));
        let root = fs::read_to_string(dir.join("weir.yaml")).unwrap();
        assert!(root.contains("project: my.shop-2\n") && !root.contains(NAME), "{root}");
    }
}
