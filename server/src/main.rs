//! `weir`: see [`weir_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_server::cli::main()
}
