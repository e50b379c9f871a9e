//! What groups promise: the results of batch SQL ([`batch`]), and what batch SQL can't tell
//! ([`promises`]).

mod batch;
mod ordered;
mod promises;
