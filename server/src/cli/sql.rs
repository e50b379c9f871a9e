//! `sql`: one query, to a running server or over the data of a stopped one.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use weir_connectors::chain;
use weir_connectors::kafka::{ReaderSchemaText, table_columns, topic_of};
use weir_engine::connector::Emit;
use weir_engine::pipeline::{KeptSink, Live, SinkLive, SinkState, StartError, State, Stopped, open_stopped};

use super::args::{Format as Chosen, SqlArgs};
use super::client::{address, post, refused};
use super::{Failure, failed};
use crate::catalog::PipelineView;
use crate::pipeline::{DataDir, Kept, SourceTable};
use crate::sql::{Format, OfflineError, query_offline, write_table};

/// Most rows of a table on the terminal, as over HTTP.
const TABLE_ROWS_MAX: usize = 10_000;

pub(super) fn command(args: &SqlArgs) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match &args.data_dir {
        Some(data_dir) => offline(data_dir, &args.query, args.format, &mut out),
        None => {
            let server = address(args.server.as_deref())?;
            online(&server, &args.query, args.format, &mut out)
        }
    }
}

fn offline(data_dir: &Path, query: &str, format: Chosen, out: &mut dyn Write) -> Result<(), Failure> {
    let data_dir = DataDir::open_to_read(data_dir).map_err(|error| failed(&error))?;
    let mut views = Vec::new();
    for name in data_dir.pipelines().map_err(|error| failed(&error))? {
        let kept = data_dir.kept(&name).map_err(|error| failed(&error))?;
        let stopped = match open_stopped(&data_dir.pipeline(&name)) {
            Ok(stopped) => stopped,
            // It was reset, and has no table until it is run again.
            Err(StartError::NeverStarted) => continue,
            Err(error) => return Err(failed(&error)),
        };
        views.extend(kept.map(|kept| view(name, &kept, stopped)));
    }
    let format = match format {
        Chosen::Table => Format::Table,
        Chosen::Json => Format::Json,
        Chosen::Ndjson => Format::Ndjson,
        Chosen::Csv => Format::Csv,
    };
    let ended = query_offline(views, query, None, format, out).and_then(|()| Ok(end(format, out)?));
    match ended {
        Ok(()) => Ok(()),
        Err(OfflineError::Query(fault)) => Err(refused(fault.problem())),
        Err(error) => Err(failed(&error)),
    }
}

/// A stopped pipeline at its last committed epoch.
fn view(name: String, kept: &Kept, stopped: Stopped) -> PipelineView {
    let identity = &kept.identity;
    let reader_schema = serde_json::from_str::<ReaderSchemaText>(&identity.reader_schema).ok();
    let reads = SourceTable {
        columns: table_columns(&identity.source_schema),
        subject: reader_schema.and_then(|schema| schema.subject),
    };
    PipelineView {
        name,
        sql: identity.shown_sql.clone(),
        source: identity.source.clone(),
        topic: topic_of(&identity.source_identity).unwrap_or_default().to_owned(),
        reads: Some(Arc::new(reads)),
        state: State::Stopped,
        error: None,
        retained: kept.settings.is_none_or(|settings| settings.retention_ms != 0),
        waits: None,
        plan: None,
        snapshot: Some(stopped.snapshot),
        live: Live { sinks: stopped.sinks.iter().map(sink).collect(), ..Live::default() },
    }
}

/// A sink of a stopped pipeline. Its folder does not know its type: no system table has it.
fn sink(kept: &KeptSink) -> SinkLive {
    SinkLive {
        sink: kept.sink.clone(),
        kind: "",
        emit: Emit::Final,
        state: SinkState::Stopped,
        outbox_rows: kept.outbox_rows,
        outbox_bytes: kept.outbox_bytes,
        delivered_epoch: kept.delivered_epoch,
        error: None,
        rows_total: 0,
        deliveries_total: 0,
        failed_deliveries_total: 0,
    }
}

fn online(server: &str, query: &str, format: Chosen, out: &mut dyn Write) -> Result<(), Failure> {
    let format = match format {
        // Made here, from typed columns.
        Chosen::Table => Format::Arrow,
        Chosen::Json => Format::Json,
        Chosen::Ndjson => Format::Ndjson,
        Chosen::Csv => Format::Csv,
    };
    let asked = serde_json::json!({ "query": query });
    let mut answer = post(server, "/api/v1/sql", format.media_type(), &asked)?;
    let failed =
        |what: &str, error: &dyn std::error::Error| Failure::Failed(format!("{what}: {}", chain(error)));
    let mut body = answer.body_mut().as_reader();
    if format == Format::Arrow {
        return table(body, out);
    }
    io::copy(&mut body, out)
        .and_then(|_| end(format, out))
        .map_err(|error| failed("the answer ended before its end", &error))
}

/// Ends what was written: the other formats have a line break behind each row.
fn end(format: Format, out: &mut dyn Write) -> io::Result<()> {
    if format == Format::Json {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads an Arrow stream and writes it as a table.
fn table(body: impl io::Read, out: &mut dyn Write) -> Result<(), Failure> {
    let broken =
        |error: &dyn std::error::Error| Failure::Failed(format!("the answer is broken: {}", chain(error)));
    let reader = StreamReader::try_new(io::BufReader::new(body), None).map_err(|error| broken(&error))?;
    let schema = reader.schema();
    let (mut batches, mut n_rows, mut truncated) = (Vec::<RecordBatch>::new(), 0, false);
    for batch in reader {
        let batch = batch.map_err(|error| broken(&error))?;
        let n_taken = batch.num_rows().min(TABLE_ROWS_MAX - n_rows);
        truncated = n_taken < batch.num_rows();
        n_rows += n_taken;
        batches.push(batch.slice(0, n_taken));
        if truncated {
            break;
        }
    }
    let mut text = Vec::new();
    write_table(&schema, &batches, truncated, &mut text);
    out.write_all(&text)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Failed(format!("could not write the answer: {error}")))
}
