//! Records that were encoded by another Avro library, through this crate's public interface.

mod cases;
mod embedded;
mod encode;
mod evolution;
mod fuzz;
mod hostile;
mod http;
mod pairs;
mod poison;
mod random;
mod single_object;
mod support;
