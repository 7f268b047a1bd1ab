//! Any bytes as a journal, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::journal(data));
