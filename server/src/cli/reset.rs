//! `reset`: a pipeline starts over. Its state and results are forgotten; epochs go on counting.
//!
//! Invariant: nothing is forgotten that was not said before, and only while no process has the data
//! directory.

use std::io;

use weir_connectors::kafka::DEAD_LETTERS;
use weir_engine::pipeline::{Inspection, inspect};
use weir_engine::state::{Memory, Store};

use super::args::ResetArgs;
use super::{Failure, failed, load, talk};
use crate::pipeline::{DEFAULT_NAME, DataDir};
use crate::project::{Project, did_you_mean};

/// More than enough to delete.
const CACHE_BYTES: usize = 8 << 20;
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// Forgets a pipeline, once the person has agreed.
///
/// # Errors
/// [`Failure::Usage`] for a pipeline that the project does not have; [`Failure::Failed`] where the data
/// directory is in use or can't be read, or the person did not agree.
pub(super) fn command(args: &ResetArgs) -> Result<(), Failure> {
    let project = load(&args.dir)?;
    let name = args.pipeline.as_str();
    if !project.pipelines.contains_key(name) {
        let hint = did_you_mean(name, project.pipelines.keys().map(String::as_str));
        return Err(Failure::Usage(format!("there is no pipeline \"{name}\"{hint}")));
    }
    let data_dir = args.data_dir.clone().unwrap_or_else(|| args.dir.join(DEFAULT_NAME));
    let data_dir = DataDir::open_existing(&data_dir).map_err(|error| failed(&error))?;
    let folder = data_dir.pipeline(name);
    let found =
        Store::exists(&folder).then(|| inspect(&folder)).transpose().map_err(|error| failed(&error))?;
    let Some(found) = found.filter(|found| found.identity.is_some()) else {
        talk(&format!("{name}: nothing is kept of it, so that it starts anew anyway\n"));
        return Ok(());
    };
    talk(&will_go(name, &found));
    talk(&sinks_get(&project, &found, name));
    if !args.yes && !agreed("Forget all of it?").map_err(|error| failed(&error))? {
        return Err(Failure::Failed("nothing was done; --yes agrees without being asked".to_owned()));
    }
    let memory = Memory::new(CACHE_BYTES, WRITE_BUFFER_BYTES);
    let forgotten =
        Store::open(&folder, &memory).and_then(|store| store.forget()).map_err(|error| failed(&error))?;
    talk(&format!(
        "{name}: starts over with the next run, as incarnation {} from epoch {}\n",
        forgotten.incarnation,
        forgotten.epoch.next().0
    ));
    Ok(())
}

/// What a reset of the pipeline means, for a person to agree to.
fn will_go(name: &str, found: &Inspection) -> String {
    let panes: u64 = found.key_spaces.iter().map(|space| space.panes).sum();
    let (epoch, rows, letters) = (found.facts.epoch.0, found.results.rows, found.dead_letters.rows);
    format!(
        "{name}: at epoch {epoch}, incarnation {}. It will forget {rows} final rows, {panes} panes of open windows, \
         {letters} dead letters and where it has read to: it reads its topic again from the source's \"start\", as \
         far as Kafka still has the records\n",
        found.incarnation
    )
}

/// What a reset means for the pipeline's sinks.
fn sinks_get(project: &Project, found: &Inspection, name: &str) -> String {
    let sinks = project.sinks.iter().filter(|(_, sink)| sink.from == name).map(|(sink, _)| sink.as_str());
    let has_letters = project.pipelines.get(name).is_some_and(|each| each.letters_topic.is_some());
    let each = sinks.chain(has_letters.then_some(DEAD_LETTERS)).map(|sink| {
        let kept = found.sinks.iter().find(|kept| kept.sink == sink);
        let waiting = kept.map_or(0, |kept| kept.outbox_rows);
        format!(
            "  sink \"{sink}\" gets rows again that it has already, from the new incarnation; {waiting} that wait \
             in its outbox are dropped\n"
        )
    });
    each.collect()
}

/// Asks on the terminal. Only a clear yes is one.
pub(super) fn agreed(question: &str) -> io::Result<bool> {
    talk(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
