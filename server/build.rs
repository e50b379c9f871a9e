//! Has the server built anew when the page was: the page's files are embedded by a macro, and cargo does not see which
//! files a macro reads.

fn main() {
    let dist = "../dashboard/dist";
    // A path that does not exist would make cargo run this at every build.
    let watched = if std::path::Path::new(dist).exists() { dist } else { "../dashboard" };
    println!("cargo:rerun-if-changed={watched}");
    println!("cargo:rerun-if-changed=build.rs");
}
