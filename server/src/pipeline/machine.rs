//! What the machine has: cores and memory, and what of it a pipeline may use.

use crate::project::Resources;

/// Where neither the kernel nor a control group says how much memory there is.
const MEMORY_BYTES: u64 = 4 << 30;
/// A pipeline's state may take this share of the memory, all pipelines together. While an epoch that
/// changed everything is closed, its rows and its state are there once more, until they are written.
const STATE_SHARE: u64 = 4;

/// What each of `n_pipelines` may use, where its file says nothing.
#[must_use]
pub fn resources(n_pipelines: usize) -> Resources {
    let bytes = memory_bytes() / STATE_SHARE / (n_pipelines.max(1) as u64);
    // To whole MiB, so that a message about it can be read.
    let bytes = (bytes >> 20).max(1) << 20;
    Resources { parallelism: cores(), state_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX) }
}

/// Threads that can run at the same time.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The machine's memory, or what a control group leaves of it.
fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = limits.into_iter().filter_map(|path| read(path).trim().parse().ok());
    limits.chain(total_bytes(&read("/proc/meminfo"))).min().unwrap_or(MEMORY_BYTES)
}

/// `MemTotal` of `/proc/meminfo`.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_kernel_says() {
        let meminfo = "MemFree:         1000 kB\nMemTotal:       32594736 kB\n";
        assert_eq!(total_bytes(meminfo), Some(32_594_736 << 10));
        assert_eq!(total_bytes("MemFree: 1 kB"), None);
    }

    #[test]
    fn pipelines_share() {
        let (one, four) = (resources(1).state_bytes_max, resources(4).state_bytes_max);
        assert!(4 * four <= one && one < 4 * four + (8 << 20), "{one} {four}");
    }
}
