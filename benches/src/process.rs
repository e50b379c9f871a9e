//! Measured runs in processes of their own: caches, memory and CPU time begin at nothing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Another process of this program.
pub(crate) struct Own {
    child: Child,
    /// For messages.
    name: String,
}

impl Own {
    /// Starts it with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe().context("could not find this program")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("could not start {arguments:?}"))?;
        Ok(Self { child, name: arguments.join(" ") })
    }

    /// The numbers that it says next.
    pub(crate) fn hear<const N: usize>(&mut self) -> Result<[f64; N]> {
        let stdout = self.child.stdout.as_mut().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers?.try_into() {
            Ok(numbers) => Ok(numbers),
            Err(_) => bail!("\"{}\" said \"{}\" and not {N} numbers", self.name, line.trim()),
        }
    }

    /// Kills it: it can't finish anything.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(crate) fn join(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "\"{}\" ended with {status}", self.name);
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Fails only where it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Says numbers to the process that started this one.
pub(crate) fn say(numbers: &[f64]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    writeln!(stdout, "{}", words.join(" "))?;
    Ok(stdout.flush()?)
}
