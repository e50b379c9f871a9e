//! A source of `type: files`: the Avro files of a folder as a table.

use std::path::Path;

use weir_connectors::kafka::SchemaChoice;
use weir_engine::connector::Start;
use weir_schemas::Format;
use weir_schemas::wire::Framing;

use super::codes::Code;
use super::fields::Fields;
use super::source::{Place, Source, Spots, schema, start, watermark};
use super::text::Text;

const SCHEMA_FORMS: &str =
    "of files \"schema\" is latest, that of the last one by name, or { file: orders.avsc }";

/// Reads the keys of a source file that says `type: files`; `None` where anything is wrong with it. `dir` is the folder it
/// is in.
pub(super) fn read(mut fields: Fields<'_, '_>, dir: &Path) -> Option<Source> {
    let path = path(&mut fields);
    let event_time = fields.required_text("event_time");
    let schema = file_schema(&mut fields, path.as_ref(), dir);
    let start = file_start(&mut fields);
    let watermark = watermark(&mut fields);
    let spots = Spots {
        schema: fields.position("schema"),
        event_time: event_time.as_ref().map_or(fields.at, |text| text.at),
    };
    fields.finish();
    let path = path?;
    Some(Source {
        place: Place::Files { pattern: dir.join(path.as_str()), shown: path.as_str().to_owned() },
        format: Format::Avro,
        framing: Framing::default(),
        schema: schema?,
        message: None,
        start: start?,
        event_time: Some(event_time?.as_str().to_owned()),
        watermark: watermark?,
        metadata: Vec::new(),
        spots,
    })
}

/// `path`: a folder, and a pattern of names in it.
fn path(fields: &mut Fields<'_, '_>) -> Option<Text> {
    let text = fields.required_text("path")?;
    let path = Path::new(text.as_str());
    let folder = path.parent().map_or_else(String::new, |folder| folder.to_string_lossy().into_owned());
    let is_folder = path.file_name().is_none() || text.as_str().ends_with('/');
    if is_folder || folder.contains(['*', '?']) || text.as_str().contains(['#', '\0', '\n']) {
        let expected = "it is a folder and a name in which \"*\" and \"?\" may stand, such as ../data/*.avro";
        fields.sheet.bad_value("\"path\"", &text, expected);
        return None;
    }
    Some(text)
}

fn file_schema(fields: &mut Fields<'_, '_>, path: Option<&Text>, dir: &Path) -> Option<SchemaChoice> {
    let has_schema = fields.node("schema").is_some();
    let subject = path?.as_str();
    if !has_schema {
        return Some(SchemaChoice::Latest { subject: subject.to_owned() });
    }
    match schema(fields, Some(Format::Avro), Some(subject), dir)? {
        file @ SchemaChoice::File(_) => Some(file),
        SchemaChoice::Latest { subject: of_topic } if of_topic == format!("{subject}-value") => {
            Some(SchemaChoice::Latest { subject: subject.to_owned() })
        }
        _ => {
            let at = fields.position("schema");
            fields.sheet.problem(at, Code::BadValue, SCHEMA_FORMS);
            None
        }
    }
}

fn file_start(fields: &mut Fields<'_, '_>) -> Option<Start> {
    match start(fields)? {
        Start::At(_) => {
            let at = fields.position("start");
            let message = "records of files have no time of their own to start at: it is earliest or latest";
            fields.sheet.problem(at, Code::BadValue, message);
            None
        }
        start => Some(start),
    }
}
