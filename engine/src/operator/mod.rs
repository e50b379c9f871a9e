//! The operators: small state machines that get batches and barriers.
