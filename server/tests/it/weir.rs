//! Runs the binary.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary with arguments, and nothing of ours in its environment.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).env_remove("KAFKA").env_remove("REGISTRY").env_remove("WEIR_LOG");
    command
}

/// Runs it to its end.
pub(crate) fn weir(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Exit code, stdout and stderr.
pub(crate) fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Writes files below `dir`.
pub(crate) fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A process that runs until it is told to stop; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = read_lines(child.stderr.take().unwrap());
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line of stderr with `part` in it.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("no {part:?} in:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// The address behind `http://` in a line with `part` in it.
    pub(crate) fn url(&mut self, part: &str) -> String {
        let line = self.wait_for(part);
        let start = line.find("http://").unwrap();
        line[start..].chars().take_while(|c| !c.is_whitespace() && *c != '"').collect()
    }

    /// Sends SIGTERM and waits for the end: exit code, and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        self.signal();
        let status = self.child.wait().unwrap();
        (status.code(), started.elapsed())
    }

    /// Sends SIGTERM twice, the second one once the first has been noticed, and waits for the end:
    /// exit code and all that was said.
    pub(crate) fn terminate_twice(mut self) -> (Option<i32>, String) {
        self.signal();
        self.wait_for("stopping");
        // It may have ended by now.
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).output().unwrap();
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        (status.code(), self.seen.join("\n"))
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read_lines(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
