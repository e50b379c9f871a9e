//! `check` and `explain`: a project looked at, nothing run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use weir_engine::pipeline::PipelineSink;
use weir_engine::sql::LeftOut;
use weir_schemas::registry::{Registered, SubjectVersion};
use weir_schemas::{RegistryError, SchemaId, SchemaRegistry, SchemaText};

use super::args::CheckArgs;
use super::{Failure, environment, load, talk, versions};
use crate::pipeline::{Connections, Outcome, Preparer, UNKNOWN_TABLE, cores, left_out};
use crate::project::{Project, check_columns, did_you_mean};

/// Tells all that is wrong with a project, and what it makes of its schemas' versions.
///
/// # Errors
/// The mistakes, what could not be asked, or that a next version would break something.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let offline = args.offline;
    let (mut project, mut problems) = Project::read(&args.dir, &environment)?;
    // Which registry did not answer, is told to whoever set its address.
    project.redactor = project.redactor.showing_addresses();
    // What could be read is looked at all the same: all mistakes are told at once.
    let is_whole = problems.is_empty();
    let project = Arc::new(project);
    let nobody: Arc<dyn SchemaRegistry> = Arc::new(Nobody);
    let connections = match Connections::new(&project) {
        Ok(connections) if !offline => connections,
        Ok(_) => Connections::with_registry(&project, &nobody),
        Err(wrong) => {
            problems.extend(wrong);
            Connections::with_registry(&project, &nobody)
        }
    };
    let preparer = Preparer::new(Arc::clone(&project), connections);
    let (mut unchecked, mut notes) = (Vec::new(), Vec::new());
    for name in project.sources.keys() {
        match preparer.check_source(name) {
            Outcome::Ready(columns) => notes.extend(told(name, &columns)),
            Outcome::Waiting(why) => unchecked.push(format!("sources/{name}.yaml: unchecked: {why}\n")),
            Outcome::Wrong(wrong) => problems.extend(wrong),
        }
    }
    let mut plans = BTreeMap::new();
    for name in project.pipelines.keys() {
        match preparer.prepare(name, None) {
            Outcome::Ready(prepared) => drop(plans.insert(name.as_str(), prepared.plan)),
            Outcome::Waiting(why) => unchecked.push(format!("pipelines/{name}.yaml: unchecked: {why}\n")),
            // A table may be missing because its source's file is wrong.
            Outcome::Wrong(wrong) => problems.extend(wrong.without(UNKNOWN_TABLE, !is_whole)),
        }
    }
    problems.extend(check_columns(project.boards(), &plans));
    let mut is_broken = false;
    if problems.is_empty() {
        let (told, breaks) = told_versions(&preparer, args)?;
        notes.extend(told);
        is_broken = breaks;
    }
    // Of a project with mistakes, what needs a wrong file is not unchecked but waits for its repair.
    talk(&project.redactor.apply(&notes.concat()));
    if is_whole {
        talk(&unchecked.concat());
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    if !unchecked.is_empty() && !offline {
        return Err(Failure::Failed("not everything could be checked".to_owned()));
    }
    if is_broken {
        return Err(Failure::Failed("a new version would break what is there".to_owned()));
    }
    let Project { name, sources, pipelines, sinks, dashboards, .. } = &*project;
    let (n_sources, n_pipelines, n_sinks, n_dashboards) =
        (sources.len(), pipelines.len(), sinks.len(), dashboards.len());
    talk(&format!(
        "{name}: right. Sources: {n_sources}, pipelines: {n_pipelines}, sinks: {n_sinks}, dashboards: {n_dashboards}\n"
    ));
    Ok(())
}

/// What to say of versions, and whether one of the next ones breaks something.
fn told_versions(preparer: &Preparer, args: &CheckArgs) -> Result<(Vec<String>, bool), Failure> {
    let (mut notes, mut is_broken) = (Vec::new(), false);
    if !args.offline {
        let sources = preparer.project().sources.keys();
        notes.extend(sources.filter_map(|source| versions::told(preparer, source)));
    }
    for next in &args.next {
        let (text, is_fine) = versions::told_next(preparer, next)?;
        notes.push(text);
        is_broken |= !is_fine;
    }
    Ok((notes, is_broken))
}

/// What to say of a source's columns that no query can read.
fn told<'a>(source: &'a str, columns: &'a [LeftOut]) -> impl Iterator<Item = String> + 'a {
    columns.iter().map(move |LeftOut { column, reason }| {
        format!("sources/{source}.yaml: column \"{column}\" is left out: {reason}\n")
    })
}

/// Prints the dataflow of a pipeline.
///
/// # Errors
/// The mistakes in the project or the query, or what could not be asked.
pub(super) fn explain(dir: &Path, name: &str) -> Result<(), Failure> {
    let mut project = load(dir)?;
    project.redactor = project.redactor.showing_addresses();
    let project = Arc::new(project);
    let Some(pipeline) = project.pipelines.get(name) else {
        let hint = did_you_mean(name, project.pipelines.keys().map(String::as_str));
        return Err(Failure::Usage(format!("there is no pipeline \"{name}\"{hint}")));
    };
    let preparer = Preparer::new(Arc::clone(&project), Connections::new(&project)?);
    let (plan, sinks) = match preparer.prepare(name, None) {
        Outcome::Ready(prepared) => {
            let notes: String = told(&prepared.plan.source, &left_out(&*prepared.source)).collect();
            talk(&project.redactor.apply(&notes));
            (prepared.plan, prepared.sinks)
        }
        Outcome::Waiting(why) => return Err(Failure::Failed(why)),
        Outcome::Wrong(problems) => return Err(problems.into()),
    };
    let parallelism = pipeline.settings.parallelism.unwrap_or_else(cores);
    let mut text = weir_engine::sql::explain(&plan, parallelism);
    for PipelineSink { sink, .. } in &sinks {
        text.push_str(&format!("sink {}: {} to {}\n", sink.name(), sink.emit().as_str(), sink.kind()));
    }
    let text = project.redactor.apply(&text);
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(|error| Failure::Failed(format!("could not write: {error}")))
}

/// The registry of `--offline`: there is nobody to ask.
#[derive(Debug)]
struct Nobody;

impl Nobody {
    fn unavailable<T>() -> Result<T, RegistryError> {
        Err(RegistryError::Unavailable { detail: "--offline".to_owned() })
    }
}

impl SchemaRegistry for Nobody {
    fn by_id(&self, _: SchemaId) -> Result<Arc<SchemaText>, RegistryError> {
        Self::unavailable()
    }

    fn subjects_of(&self, _: SchemaId) -> Result<Vec<SubjectVersion>, RegistryError> {
        Self::unavailable()
    }

    fn latest(&self, _: &str) -> Result<Registered, RegistryError> {
        Self::unavailable()
    }

    fn versions(&self, _: &str) -> Result<Vec<u32>, RegistryError> {
        Self::unavailable()
    }

    fn version(&self, _: &str, _: u32) -> Result<Registered, RegistryError> {
        Self::unavailable()
    }

    fn register(&self, _: &str, _: &str) -> Result<SchemaId, RegistryError> {
        Self::unavailable()
    }
}
