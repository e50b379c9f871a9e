//! SQL text to dataflow: dialect, window table functions, checks, lowering.
