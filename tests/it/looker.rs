//! Who looks at the page: a script that drives a real Chromium.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Who looks at the page.
pub(crate) struct Looker {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
}

impl Looker {
    /// Runs a script of `tests/browser` at the page; `of` is its URL, and what else the script is told.
    pub(crate) fn start(script: &str, of: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("../scripts/browser.sh"))
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/browser.sh runs");
        assert!(output.status.success(), "scripts/browser.sh failed");
        let found = String::from_utf8(output.stdout).expect("paths in UTF-8");
        let found: HashMap<&str, &str> = found.lines().filter_map(|line| line.split_once('=')).collect();
        let mut child = Command::new("node")
            .arg(root.join("browser").join(script))
            .args([found["NODE_MODULES"], found["CHROMIUM"]])
            .args(of)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let says = BufReader::new(child.stdout.take().expect("piped")).lines();
        let hears = child.stdin.take().expect("piped");
        Self { child, says, hears }
    }

    /// Has a deed of the script done.
    pub(crate) fn ask(&mut self, deed: &str, of: impl Into<Value>) -> Value {
        let of = of.into();
        writeln!(self.hears, "{}", json!({ "deed": deed, "of": &of })).expect("the script listens");
        let line = self.says.next().unwrap_or_else(|| panic!("the script ended at {deed} {of}"));
        serde_json::from_str(&line.expect("UTF-8")).expect("the script answers JSON")
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // It may have ended already. Its Chromium ends with it: they talk over a pipe.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
