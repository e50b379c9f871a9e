//! `weir`: see [`weir_server::cli`].

fn main() {
    weir_server::cli::main()
}
