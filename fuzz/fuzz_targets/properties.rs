//! Any values as what systemd shows of a unit.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::properties(data));
