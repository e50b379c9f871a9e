//! Micro-benchmarks of the engine's stations, one subcommand each. README.md has the commands, what
//! the numbers mean and the last ones measured.

mod aggregate;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["aggregate"] => aggregate::run(aggregate::SECONDS),
        ["aggregate", "--seconds", seconds] => aggregate::run(seconds.parse()?),
        _ => bail!("usage: weir-benches aggregate [--seconds N]"),
    }
}

/// Nanoseconds that this thread has been on a CPU: what another busy process takes does not count.
fn cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let Some(first) = text.split_whitespace().next() else { bail!("/proc/thread-self/schedstat is empty") };
    Ok(first.parse()?)
}

/// The numbers of SplitMix64 from one seed on: the same in every run.
struct Random(u64);

impl Random {
    /// The next number below `bound`. The bias towards small ones is too small to matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}
