//! `inspect`: what a data directory holds, for people and scripts. Nothing is written.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use weir_connectors::chain;
use weir_connectors::kafka::topic_of;
use weir_engine::pipeline::{Inspection, KeptSink, KeySpace, inspect};
use weir_engine::result::Sizes;
use weir_engine::state::FORMAT_VERSION;

use super::args::InspectFormat;
use super::{Failure, failed};
use crate::encode::instant;
use crate::pipeline::DataDir;

/// Shows the data directory.
///
/// # Errors
/// It is in use or can't be read; or what is kept of a pipeline can't, after all others were shown.
pub(super) fn command(data_dir: &Path, format: InspectFormat) -> Result<(), Failure> {
    let data_dir = DataDir::open_to_read(data_dir).map_err(|error| failed(&error))?;
    let (mut pipelines, mut broken) = (Vec::new(), Vec::new());
    for name in data_dir.pipelines().map_err(|error| failed(&error))? {
        match inspect(&data_dir.pipeline(&name)) {
            Ok(found) => pipelines.push(Shown::of(name, &found)),
            Err(error) => broken.push(format!("pipeline \"{name}\": {}", chain(&error))),
        }
    }
    let path = data_dir.path().display().to_string();
    let all = Directory { data_dir: path, format_version: FORMAT_VERSION, pipelines };
    let text = match format {
        InspectFormat::Text => all.text(),
        InspectFormat::Json => serde_json::to_string_pretty(&all).map_err(|error| failed(&error))? + "\n",
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Failed(format!("could not write: {error}")))?;
    if broken.is_empty() { Ok(()) } else { Err(Failure::Failed(broken.join("\nerror: "))) }
}

#[derive(Serialize)]
struct Directory {
    data_dir: String,
    /// Of everything persisted.
    format_version: u8,
    pipelines: Vec<Shown>,
}

/// One pipeline. Names and units are those of the system tables.
#[derive(Serialize)]
struct Shown {
    name: String,
    incarnation: u64,
    epoch: u64,
    committed_at: Option<String>,
    watermark: Option<String>,
    /// Null: it was never started, or not since it was reset.
    source: Option<String>,
    topic: Option<String>,
    topic_id: Option<String>,
    sql: Option<String>,
    fingerprint: Option<String>,
    parallelism: Option<usize>,
    rows_in: u64,
    rows_out: u64,
    late_rows: u64,
    tombstones: u64,
    lost_records: u64,
    dead_letters_replayed: u64,
    dead_letters_expired: u64,
    partitions: Vec<Partition>,
    key_spaces: Vec<Space>,
    results: Stored,
    dead_letters: Stored,
    sinks: Vec<Waiting>,
    floors: usize,
    schemas: usize,
}

#[derive(Serialize)]
struct Partition {
    partition: i32,
    next_offset: i64,
    watermark: Option<String>,
    idle: bool,
    floor: Option<String>,
    bounded_end: Option<i64>,
}

#[derive(Serialize)]
struct Space {
    subtask: u16,
    panes: u64,
    groups: Option<u64>,
    blocks: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Waiting {
    sink: String,
    outbox_rows: u64,
    outbox_bytes: u64,
    delivered_epoch: u64,
}

#[derive(Serialize)]
struct Stored {
    rows: u64,
    blocks: u64,
    bytes: u64,
}

impl Stored {
    fn of(sizes: Sizes) -> Self {
        Self { rows: sizes.rows, blocks: sizes.blocks, bytes: sizes.bytes }
    }
}

impl Shown {
    fn of(name: String, found: &Inspection) -> Self {
        let Inspection { facts, settings, .. } = found;
        let time = |ms: Option<i64>| ms.map(instant);
        let identity = found.identity.as_ref();
        let counters = facts.counters;
        let partition = |fact: &weir_engine::facts::PartitionFact| Partition {
            partition: fact.partition,
            next_offset: fact.next_offset,
            watermark: time(fact.watermark_ms),
            idle: fact.idle,
            floor: time(fact.floor_ms),
            bounded_end: fact.bounded_end,
        };
        let waiting = |kept: &KeptSink| Waiting {
            sink: kept.sink.clone(),
            outbox_rows: kept.outbox_rows,
            outbox_bytes: kept.outbox_bytes,
            delivered_epoch: kept.delivered_epoch.0,
        };
        let space = |&KeySpace { subtask, panes, groups, blocks, bytes }: &KeySpace| Space {
            subtask,
            panes,
            groups,
            blocks,
            bytes,
        };
        Self {
            name,
            incarnation: found.incarnation,
            epoch: facts.epoch.0,
            committed_at: time(facts.committed_at_ms),
            watermark: time(facts.watermark_ms),
            source: identity.map(|identity| identity.source.clone()),
            topic: identity.and_then(|identity| topic_of(&identity.source_identity)).map(str::to_owned),
            topic_id: identity.and_then(|identity| identity.topic_id.clone()),
            sql: identity.map(|identity| identity.shown_sql.clone()),
            fingerprint: identity.map(|identity| format!("{:016x}", identity.fingerprint)),
            parallelism: settings.map(|settings| settings.parallelism),
            rows_in: counters.rows_in,
            rows_out: counters.rows_out,
            late_rows: counters.late_rows,
            tombstones: counters.tombstones,
            lost_records: counters.lost_records,
            dead_letters_replayed: counters.dead_letters_replayed,
            dead_letters_expired: counters.dead_letters_expired,
            partitions: facts.partitions.iter().map(partition).collect(),
            key_spaces: found.key_spaces.iter().map(space).collect(),
            results: Stored::of(found.results),
            dead_letters: Stored::of(found.dead_letters),
            sinks: found.sinks.iter().map(waiting).collect(),
            floors: facts.floors.len(),
            schemas: facts.schemas.len(),
        }
    }
}

impl Directory {
    fn text(&self) -> String {
        let mut out = String::new();
        let write = |out: &mut String, text: std::fmt::Arguments<'_>| {
            out.write_fmt(text).expect("writing to memory does not fail");
        };
        write(&mut out, format_args!("{} (format version {})\n", self.data_dir, self.format_version));
        for pipeline in &self.pipelines {
            write(&mut out, format_args!("\n{pipeline}"));
        }
        out
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn or_none<T: std::fmt::Display>(value: Option<&T>) -> String {
            value.map_or_else(|| "-".to_owned(), T::to_string)
        }
        writeln!(out, "{}", self.name)?;
        let (committed_at, watermark) =
            (or_none(self.committed_at.as_ref()), or_none(self.watermark.as_ref()));
        writeln!(
            out,
            "  epoch {}, incarnation {}, committed at {committed_at}, watermark {watermark}, parallelism {}",
            self.epoch,
            self.incarnation,
            or_none(self.parallelism.as_ref())
        )?;
        if let (Some(source), Some(sql)) = (&self.source, &self.sql) {
            let (topic, id) = (or_none(self.topic.as_ref()), or_none(self.topic_id.as_ref()));
            writeln!(out, "  source {source}: topic {topic}, id {id}")?;
            writeln!(out, "  sql:\n    {}", sql.trim().replace('\n', "\n    "))?;
        }
        writeln!(
            out,
            "  rows_in {}, rows_out {}, late_rows {}, tombstones {}, lost_records {}",
            self.rows_in, self.rows_out, self.late_rows, self.tombstones, self.lost_records
        )?;
        for (name, Stored { rows, blocks, bytes }) in
            [("results", &self.results), ("dead letters", &self.dead_letters)]
        {
            writeln!(out, "  {name}: {rows} rows in {blocks} blocks of {bytes} bytes")?;
        }
        let (replayed, expired) = (self.dead_letters_replayed, self.dead_letters_expired);
        writeln!(out, "  dead letters gone: {replayed} replayed, {expired} expired")?;
        writeln!(out, "  floors: {}, schemas: {}", self.floors, self.schemas)?;
        for each in &self.partitions {
            let idle = if each.idle { ", idle" } else { "" };
            let floor = each.floor.as_ref().map(|floor| format!(", floor {floor}")).unwrap_or_default();
            let end = each.bounded_end.map(|end| format!(", bounded end {end}")).unwrap_or_default();
            let watermark = or_none(each.watermark.as_ref());
            let (partition, next) = (each.partition, each.next_offset);
            writeln!(
                out,
                "  partition {partition}: next offset {next}, watermark {watermark}{idle}{floor}{end}"
            )?;
        }
        for Waiting { sink, outbox_rows, outbox_bytes, delivered_epoch } in &self.sinks {
            writeln!(
                out,
                "  sink {sink}: delivered up to epoch {delivered_epoch}, {outbox_rows} rows of {outbox_bytes} \
                 bytes wait in its outbox"
            )?;
        }
        for each in &self.key_spaces {
            let Space { subtask, panes, blocks, bytes, .. } = each;
            let groups = or_none(each.groups.as_ref());
            writeln!(
                out,
                "  key space {subtask}: {groups} groups in {panes} panes, {blocks} blocks of {bytes} bytes"
            )?;
        }
        Ok(())
    }
}
