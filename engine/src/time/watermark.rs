//! Watermarks: a running maximum per partition, floors, idleness.
