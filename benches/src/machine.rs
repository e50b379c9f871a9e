//! What a run took of the machine, and which machine it is. Linux only.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Nanoseconds that this thread has been on a CPU: what another busy process takes does not count. To the
/// nanosecond; `/proc` tells it to the timer's tick only.
#[expect(unsafe_code, reason = "the standard library does not tell")]
pub(crate) fn thread_cpu_ns() -> Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes a `timespec` where it is told to, and keeps no pointer.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    ensure!(code == 0, "the clock of the thread can't be read: {}", std::io::Error::last_os_error());
    Ok(u64::try_from(time.tv_sec)? * 1_000_000_000 + u64::try_from(time.tv_nsec)?)
}

/// Seconds that all threads of this process, those that have ended too, have been on a CPU.
#[expect(unsafe_code, reason = "the standard library does not tell")]
pub(crate) fn process_cpu_s() -> f64 {
    // SAFETY: all zeros is a valid `rusage`, and the call writes one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The same of another process.
pub(crate) fn cpu_s_of(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have blanks; user and system time in hundredths, as everywhere on Linux.
    let fields = text.rsplit_once(") ").map(|(_, fields)| fields.split(' '));
    let ticks = fields.into_iter().flatten().skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}

/// MiB of memory that this process has now, and the most it ever had.
pub(crate) fn memory_mib() -> Result<(u64, u64)> {
    memory_mib_of(std::process::id())
}

/// The same of another process.
pub(crate) fn memory_mib_of(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path)?;
    let fields: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
    let mib = |name: &str| -> Result<u64> {
        let field = fields.get(name).with_context(|| format!("{path} has no {name}"))?;
        let kib: u64 = field.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024)
    };
    Ok((mib("VmRSS")?, mib("VmHWM")?))
}

/// One line for whoever keeps the numbers: commit, cores, CPU model, and how busy the machine is.
pub(crate) fn describe() -> String {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpu_info.lines().filter_map(|line| line.strip_prefix("model name"));
    let models: Vec<&str> = models.map(|model| model.trim_start_matches([' ', '\t', ':'])).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(2).collect();
    format!(
        "commit {}, {} cores of {}, load average {} (1 min) {} (5 min)",
        commit().unwrap_or_else(|| "unknown".to_owned()),
        models.len(),
        models.first().unwrap_or(&"unknown model"),
        load.first().unwrap_or(&"?"),
        load.get(1).unwrap_or(&"?"),
    )
}

fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The middle of the figures; of an even number of them the upper one.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// This program without the lines of its source, a form of which Valgrind can't read.
pub(crate) fn stripped(folder: &TempDir) -> Result<String> {
    let path = folder.path().join("weir-benches");
    let mut strip = Command::new("strip");
    strip.arg("-g").arg(std::env::current_exe()?).arg("-o").arg(&path);
    ensure!(strip.status().context("could not run strip")?.success(), "strip failed");
    path.into_os_string().into_string().ok().context("the temporary folder's name is not UTF-8")
}
