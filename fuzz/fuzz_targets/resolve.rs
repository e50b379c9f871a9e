//! See [`weir_fuzz::resolve`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::resolve(data));
