//! Windows: which one holds an event time, and where it ends.
