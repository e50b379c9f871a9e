//! The dashboards: read at the start, and written from the page where `weir run --edit` says so.
//!
//! Invariants:
//! 1. A file is written only if `weir check` would take it, and whole or not at all.
//! 2. A file that somebody else has changed meanwhile is not overwritten, be it by a comment.
//! 3. Who says which dashboard they began with overwrites no other one (`If-Match`, RFC 9110, section 13.1.1).

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::extract::{Path as Segment, Request, State};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use weir_api::{Dashboard, DashboardEntry, DashboardList};

use super::AppState;
use super::api::missing;
use super::body::{BODY_BYTES_MAX, check_type, read_body};
use super::respond::json;
use crate::catalog::Catalog;
use crate::problem::{Code, Fault};
use crate::project::{Problems, Project, check_columns};

/// What the page shows in `dashboards/`, as JSON.
#[derive(Debug)]
pub struct Boards {
    /// There where files may be written.
    project: Option<Arc<Project>>,
    /// The files' texts as they are known here, by name.
    texts: Mutex<BTreeMap<String, String>>,
    /// By name, ascending.
    boards: RwLock<Arc<Vec<(String, Dashboard)>>>,
}

impl Boards {
    /// `boards` ascending by name; `project`: whose files may be written.
    #[must_use]
    pub fn new(boards: Vec<(String, Dashboard)>, project: Option<Arc<Project>>) -> Self {
        let mut texts = BTreeMap::new();
        for (name, board) in boards.iter().filter(|_| project.is_some()) {
            let Some(project) = &project else { continue };
            let text = fs::read_to_string(file(project, name)).ok();
            let is_it =
                |text: &String| project.read_dashboard(name, text).is_ok_and(|it| it.dashboard == *board);
            // One that was changed since it was read is not ours to overwrite.
            texts.extend(text.filter(is_it).map(|text| (name.clone(), text)));
        }
        Self { project, texts: Mutex::new(texts), boards: RwLock::new(Arc::new(boards)) }
    }

    /// Whether this server changes what it has because somebody asks: `weir run --edit`.
    pub(super) fn are_editable(&self) -> bool {
        self.project.is_some()
    }

    fn all(&self) -> Arc<Vec<(String, Dashboard)>> {
        Arc::clone(&self.boards.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes `dashboards/NAME.yaml`, unless `expected`, the tags of `If-Match`, has not that of what is there; gives the tag
    /// of what is there then.
    fn write(
        &self,
        project: &Project,
        catalog: &dyn Catalog,
        name: &str,
        text: &str,
        expected: Option<&str>,
    ) -> Result<String, Fault> {
        let board = project.read_dashboard(name, text).map_err(|problems| fault(&problems))?;
        let views = catalog.pipelines();
        let plans =
            views.iter().filter_map(|view| Some((view.name.as_str(), Arc::clone(view.plan.as_ref()?))));
        let problems = check_columns([(name, &board)].into_iter(), &plans.collect());
        if !problems.is_empty() {
            return Err(fault(&problems));
        }
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut boards = self.all().to_vec();
        let at = boards.binary_search_by(|(known, _)| known.as_str().cmp(name));
        let present = at.ok().map(|at| tag(&boards[at].1)).transpose()?;
        if !expected.is_none_or(|expected| is_expected(expected, present.as_deref())) {
            let detail = format!("dashboards/{name}.yaml was saved by somebody else since you began");
            return Err(Fault::new(Code::Outdated, detail).hint("look at theirs, and merge or overwrite it"));
        }
        let there = match fs::read_to_string(file(project, name)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritten(name, &error)),
        };
        if there.as_ref() != texts.get(name) {
            let detail = format!("dashboards/{name}.yaml is not what this server read at its start");
            return Err(Fault::new(Code::Conflict, detail).hint(
                "somebody changed it: start weir again to see that, or copy the YAML and merge by hand",
            ));
        }
        replace(&project.dir.join("dashboards"), name, text).map_err(|error| unwritten(name, &error))?;
        texts.insert(name.to_owned(), text.to_owned());
        let tag = tag(&board.dashboard)?;
        match at {
            Ok(at) => boards[at].1 = board.dashboard,
            Err(at) => boards.insert(at, (name.to_owned(), board.dashboard)),
        }
        *self.boards.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(boards);
        Ok(tag)
    }
}

/// Names a dashboard by what is in it: an entity tag.
fn tag(dashboard: &Dashboard) -> Result<String, Fault> {
    let body = serde_json::to_vec(dashboard).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    Ok(format!("\"{:016x}\"", hasher.finish()))
}

/// Whether the tags of `If-Match` have that of what is there.
fn is_expected(expected: &str, present: Option<&str>) -> bool {
    expected.split(',').map(str::trim).any(|tag| present.is_some() && (tag == "*" || Some(tag) == present))
}

fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn file(project: &Project, name: &str) -> PathBuf {
    project.dir.join("dashboards").join(format!("{name}.yaml"))
}

/// All dashboards.
pub(super) async fn dashboards(State(app): State<Arc<AppState>>) -> Result<Response, Fault> {
    let entry = |(name, dashboard): &(String, Dashboard)| DashboardEntry {
        name: name.clone(),
        title: dashboard.title.clone(),
    };
    let dashboards = app.boards.all().iter().map(entry).collect();
    json(&DashboardList { dashboards, editable: app.boards.are_editable() })
}

/// One dashboard file, with its entity tag.
pub(super) async fn dashboard(
    State(app): State<Arc<AppState>>,
    Segment(name): Segment<String>,
) -> Result<Response, Fault> {
    let boards = app.boards.all();
    match boards.iter().find(|(known, _)| *known == name) {
        Some((_, dashboard)) => Ok(with_tag(json(dashboard)?, &tag(dashboard)?)),
        None => Err(missing("dashboard", &name, boards.iter().map(|(name, _)| name.as_str()))),
    }
}

/// Takes the text of a dashboard file, and writes it.
pub(super) async fn write(
    State(app): State<Arc<AppState>>,
    Segment(name): Segment<String>,
    request: Request,
) -> Result<Response, Fault> {
    let Some(project) = app.boards.project.clone() else {
        return Err(Fault::new(Code::Forbidden, "this server does not write files")
            .hint("start it with weir run --edit, or copy the YAML into the file yourself"));
    };
    let (parts, body) = request.into_parts();
    check_type(&parts, "application/yaml")?;
    let expected =
        parts.headers.get(IF_MATCH).map(|tags| String::from_utf8_lossy(tags.as_bytes()).into_owned());
    let body = read_body(&parts, body, BODY_BYTES_MAX).await?;
    let text = String::from_utf8(body.to_vec())
        .map_err(|_| Fault::new(Code::BadRequest, "the body is not UTF-8"))?;
    let written = tokio::task::spawn_blocking(move || {
        let tag = app.boards.write(&project, app.catalog.as_ref(), &name, &text, expected.as_deref())?;
        tracing::info!(dashboard = name, "written from the page");
        Ok(with_tag(StatusCode::NO_CONTENT.into_response(), &tag))
    });
    written.await.map_err(|_| Fault::new(Code::Internal, "the file could not be written"))?
}

/// What `weir check` would say, the first of it with its place in the text.
fn fault(problems: &Problems) -> Fault {
    let problems = problems.sorted();
    let Some(first) = problems.first() else { return Fault::new(Code::Internal, "nothing is wrong") };
    let more = match problems.len() {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let fault = Fault::new(Code::BadRequest, format!("{}{more}", first.message));
    let fault = fault.at(first.at.line as u64, first.at.column as u64);
    match &first.hint {
        Some(hint) => fault.hint(hint.clone()),
        None => fault,
    }
}

fn unwritten(name: &str, error: &io::Error) -> Fault {
    Fault::new(Code::Internal, format!("could not write dashboards/{name}.yaml: {}", error.kind()))
        .hint("may the server write there?")
}

/// Puts a file in the place of another: who reads it sees the old or the new one, also after a crash.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // What begins with a dot is not read as a file of the project.
    let aside = folder.join(format!(".{name}.yaml.new"));
    let mut file = fs::File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(format!("{name}.yaml")))?;
    fs::File::open(folder)?.sync_all()
}
