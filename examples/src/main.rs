//! Writes the shop of `examples/shop` to a real broker, until it is stopped.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use weir_examples::produce::{Options, create_topics, run};
use weir_schemas::registry::HttpRegistry;

/// Write a believable shop to Kafka: the data for `weir run examples/shop`
#[derive(Debug, Parser)]
struct Args {
    /// Brokers, as host:port
    #[arg(long, default_value = "localhost:9092")]
    bootstrap: String,
    /// A schema registry that speaks Confluent's API
    #[arg(long, default_value = "http://localhost:8081")]
    registry: String,
    /// The same seed makes the same shop
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How busy the shop is: 1 is about 240 records a second
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seconds until a producer starts to write version 2 of the schema of orders
    #[arg(long, default_value_t = 60)]
    upgrade_after: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(create_topics(&args.bootstrap))?;
    let registry = HttpRegistry::new(&args.registry, None)?;
    let options = Options {
        bootstrap_servers: args.bootstrap,
        seed: args.seed,
        rate: args.rate,
        past: Duration::ZERO,
        upgrade_after: Duration::from_secs(args.upgrade_after),
    };
    eprintln!("writing to topics shop.orders and shop.clicks; Ctrl-C ends it");
    run(&options, &registry, &|| false, &|| eprintln!("orders are written with schema version 2 now"))
}
