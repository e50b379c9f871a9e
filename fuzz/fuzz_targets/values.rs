//! See [`weir_fuzz::values`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::values(data));
