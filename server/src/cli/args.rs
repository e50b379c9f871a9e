//! What the command line looks like. The doc comments are its help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::registry::DEFAULT_LISTEN as REGISTRY_LISTEN;

/// Where `run` listens and `sql` asks unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// Windowed SQL over Kafka topics, kept up to date exactly once and shown while it forms
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    after_help = "Example:
  weir demo                          a shop with live numbers, no server needed
  weir new shop                      a small project to start from, in the folder shop
  weir check shop                    is the project in the folder shop right?
  weir run shop                      run it; the dashboard is on http://127.0.0.1:8080
  weir sql 'SELECT * FROM revenue'   ask it
  weir registry --data-dir schemas   a schema registry, on http://127.0.0.1:8081"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small project to start from, whose files say what their keys do
    #[command(after_help = "Example:
  weir new shop
  weir check shop
  KAFKA=broker:9092 weir run shop")]
    New {
        /// The project's folder: a new one, or an empty one
        dir: PathBuf,
    },
    /// Run the pipelines of a project, and serve their results over HTTP
    Run(RunArgs),
    /// Tell all that is wrong with a project
    Check(CheckArgs),
    /// Print the dataflow of a pipeline
    #[command(after_help = "Example:
  weir explain shop revenue")]
    Explain {
        /// The project's folder
        dir: PathBuf,
        /// The pipeline file's name, without .yaml
        pipeline: String,
    },
    /// Ask a query over the result and system tables
    Sql(SqlArgs),
    /// Run a schema registry that speaks Confluent's API
    Registry(RegistryArgs),
    /// Run a shop with live numbers: Kafka, registry and data are simulated in this process
    Demo(DemoArgs),
    /// Show what the data directory of a stopped weir holds; nothing is written
    #[command(after_help = "Example:
  weir inspect shop/.weir
  weir inspect shop/.weir --format json | jq '.pipelines[] | {name, epoch}'")]
    Inspect {
        /// The data directory
        data_dir: PathBuf,
        /// How to write it
        #[arg(long, value_enum, default_value_t = InspectFormat::Text)]
        format: InspectFormat,
    },
    /// Start a pipeline over: its state and results are forgotten, its sinks get their rows again
    Reset(ResetArgs),
    /// Run dead letters again after a fix: each is counted once and is none any more, or stays one
    Replay(ReplayArgs),
    /// Print a JSON Schema of the project files, for editors
    #[command(after_help = "Example:
  weir schema source > source.schema.json
  # first line of sources/orders.yaml, for editors with yaml-language-server:
  # yaml-language-server: $schema=../source.schema.json")]
    Schema {
        /// Of this kind of file only: project (weir.yaml), source, pipeline, sink or dashboard
        kind: Option<String>,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  weir check shop --offline
  sources/orders.yaml:3:1: error: unknown key \"topc\", did you mean \"topic\"? [E0102]

  weir check shop --next orders=orders-v4.avsc
  sources/orders.yaml: \"shop.orders-value\", read with version 3
    versions 1 to 3: read
    orders-v4.avsc: not read: amount: the writer's string can't be read as long: …
    orders-v4.avsc: as the reader schema it breaks pipelines/revenue.yaml:2:20: …")]
pub struct CheckArgs {
    /// The project's folder
    pub dir: PathBuf,
    /// Ask no schema registry; what needs one is named as unchecked
    #[arg(long)]
    pub offline: bool,
    /// A schema that is to become the next version, and the source that it is for; several times
    #[arg(long, value_name = "SOURCE=FILE")]
    pub next: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  weir run shop --listen 127.0.0.1:9000 --data-dir /var/lib/weir/shop")]
pub struct RunArgs {
    /// The project's folder
    pub dir: PathBuf,
    /// Address of the dashboard, the API and the metrics
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN, value_parser = address)]
    pub listen: SocketAddr,
    /// Where state and results are kept [default: DIR/.weir]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Let the page write dashboards/NAME.yaml, and the page and weir replay run dead letters again
    #[arg(long)]
    pub edit: bool,
    /// Read each partition to the end it has now, close every window, exit
    #[arg(long)]
    pub bounded: bool,
    /// A pipeline that goes on where unread records were deleted, and counts them; several times
    #[arg(long, value_name = "PIPELINE")]
    pub skip_lost: Vec<String>,
    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

// Who may reach what listens. Not a doc comment: it would become the help of the command.
#[derive(Debug, ClapArgs)]
pub struct ReachArgs {
    /// Listen on an address that others reach, though anybody who reaches it may read all, and change what can be changed
    #[arg(long)]
    pub allow_unauthenticated: bool,
    /// A Host that requests may name, besides loopback; can be given several times
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// An Origin whose pages may ask, besides our own; can be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = r#"Example:
  weir registry --data-dir schemas
  curl http://127.0.0.1:8081/subjects/names-value/versions --json '{"schema": "{\"type\": \"string\"}"}'
  curl http://127.0.0.1:8081/subjects/names-value/versions/latest

Clients of Confluent's registry use it unchanged: schema.registry.url=http://127.0.0.1:8081.
Inside weir run: the key "registry" of weir.yaml, as in registry: { listen: 127.0.0.1:8081 }."#)]
pub struct RegistryArgs {
    /// Address of the registry
    #[arg(long, value_name = "ADDRESS", default_value = REGISTRY_LISTEN, value_parser = address)]
    pub listen: SocketAddr,
    /// Where the schemas are kept
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: PathBuf,
    #[command(flatten)]
    pub reach: ReachArgs,
    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  weir sql 'SELECT country, sum(revenue) FROM revenue GROUP BY country'
  weir sql 'SELECT name, state, watermark FROM weir.pipelines' --format csv")]
pub struct SqlArgs {
    /// One SELECT, EXPLAIN, SHOW or DESCRIBE
    pub query: String,
    /// A running weir [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub server: Option<String>,
    /// The data directory of a stopped weir: its last committed epoch
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// How to write the answer; table and json hold at most 10,000 rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  weir reset shop revenue
  weir reset shop revenue --yes --data-dir /var/lib/weir/shop")]
pub struct ResetArgs {
    /// The project's folder
    pub dir: PathBuf,
    /// The pipeline file's name, without .yaml
    pub pipeline: String,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
    /// Where state and results are kept [default: DIR/.weir]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = r#"Example:
  weir replay revenue --reason unknown_schema
  weir replay revenue --where '"offset" BETWEEN 4100 AND 4200' --yes

The server has to be one that allows it: weir run --edit. Records count in those of their windows that are still
open; late rows are left as they are."#)]
pub struct ReplayArgs {
    /// The pipeline file's name, without .yaml
    pub pipeline: String,
    /// Dead letters with this reason only
    #[arg(long)]
    pub reason: Option<String>,
    /// Dead letters that fit this condition over the columns of weir.dead_letters only
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
    /// A running weir [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:
  weir demo
  weir sql 'SELECT * FROM revenue ORDER BY window_start DESC LIMIT 10'   (in another terminal)")]
pub struct DemoArgs {
    /// Address of the dashboard [default: 127.0.0.1:8080, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Seed of the generator: the same one makes the same shop
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InspectFormat {
    Text,
    Json,
}

/// An address and a port; `localhost` is 127.0.0.1.
fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = loopback.as_deref().unwrap_or(text).parse();
    parsed.map_err(|_| "it is an address and a port, such as 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn addresses_are_numbers_or_localhost() {
        assert_eq!(address("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(address("0.0.0.0:80"), Ok(SocketAddr::from(([0, 0, 0, 0], 80))));
        assert_eq!(address("[::1]:0").map(|address| address.ip().is_loopback()), Ok(true));
        for wrong in ["localhost", "127.0.0.1", ":80", "localhost:x", "localhost.example:80"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
