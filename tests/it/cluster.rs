//! Three brokers that are each other's controllers, with three copies of everything: where one dies,
//! others lead; once it is back, it leads again what it led before.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::Value;

use crate::producer::PATIENCE;
use crate::services::{Found, Kafka, eventually, free_ports, node_properties, run_folder};

/// Two of three copies make a record count. Deaths are noticed soon, and who should lead does a second
/// after he can. Small, since there are three: the log cleaner's own buffer alone would be half of the heap.
const TOGETHER: &str = "\
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=3
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=300
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1500
leader.imbalance.check.interval.seconds=1
leader.imbalance.per.broker.percentage=0
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
";

/// Ends with the value.
pub(crate) struct Cluster {
    /// Of all three.
    pub(crate) bootstrap: String,
    brokers: [Kafka; 3],
    folder: PathBuf,
}

/// A partition's leader, -1 where it has none, the broker that should be it, and how many copies are there.
struct Copies {
    leader: i32,
    preferred: i32,
    n_in_sync: usize,
}

impl Cluster {
    pub(crate) fn start(name: &str) -> Self {
        let ports: [u16; 6] = free_ports();
        let voters: Vec<String> = (1..=3).map(|id| format!("{id}@127.0.0.1:{}", ports[id + 2])).collect();
        let folder = run_folder().join(name);
        // Each is formatted by a Java of its own, which takes its time.
        let mut brokers = std::thread::scope(|scope| {
            let starting = [1, 2, 3].map(|id| {
                let properties = node_properties(id, ports[id - 1], ports[id + 2], &voters.join(","));
                let folder = folder.join(id.to_string());
                scope.spawn(move || {
                    let properties = format!("{properties}{TOGETHER}");
                    Kafka::node(Found::look_up(), &folder, ports[id - 1], "-Xmx256m", &properties)
                })
            });
            starting.map(|broker| broker.join().expect("it is formatted"))
        });
        brokers.iter_mut().for_each(Kafka::spawn);
        brokers.iter_mut().for_each(Kafka::start);
        let bootstrap = brokers.each_ref().map(|broker| broker.bootstrap.clone()).join(",");
        Self { bootstrap, brokers, folder }
    }

    /// Who is the controller, as the three have noted of their votes: clients are told any broker.
    pub(crate) fn controller(&self) -> usize {
        let vote = |id: usize| {
            let file = self.folder.join(format!("{id}/data/__cluster_metadata-0/quorum-state"));
            // It is being replaced, now and then.
            let vote: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
            let leader = usize::try_from(vote["leaderId"].as_i64()?).ok().filter(|leader| 0 < *leader)?;
            Some((vote["leaderEpoch"].as_i64()?, leader))
        };
        eventually("there is a controller", PATIENCE, || (1..=3).filter_map(vote).max()).1
    }

    /// Kills a broker, from 1 to 3, and waits until the others lead all that it led, and one of them is the
    /// controller.
    pub(crate) fn kill(&mut self, id: usize) {
        self.brokers[id - 1].stop();
        eventually("another is the controller", PATIENCE, || (self.controller() != id).then_some(()));
        let dead = i32::try_from(id).expect("one of three");
        self.eventually("others lead", |copies| copies.leader != dead && 0 <= copies.leader);
    }

    /// Starts a broker again and waits until it has all and leads what it should: leaders that are well
    /// give way to it.
    pub(crate) fn revive(&mut self, id: usize) {
        self.brokers[id - 1].start();
        self.eventually("all lead what they should", |copies| {
            copies.n_in_sync == 3 && copies.leader == copies.preferred
        });
    }

    fn eventually(&self, what: &str, holds: impl Fn(&Copies) -> bool) {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().expect("a client");
        eventually(what, PATIENCE, || {
            let copies = copies(&client)?;
            copies.values().all(&holds).then_some(())
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.brokers.iter_mut().for_each(Kafka::stop);
    }
}

/// Of every partition of every topic; `None` where nobody answers.
fn copies(client: &BaseConsumer) -> Option<BTreeMap<(String, i32), Copies>> {
    let metadata = client.fetch_metadata(None, Duration::from_secs(2)).ok()?;
    let partitions = metadata.topics().iter().flat_map(|topic| {
        topic.partitions().iter().map(|partition| {
            let copies = Copies {
                leader: partition.leader(),
                preferred: partition.replicas().first().copied().unwrap_or(-1),
                n_in_sync: partition.isr().len(),
            };
            ((topic.name().to_owned(), partition.id()), copies)
        })
    });
    Some(partitions.collect())
}
