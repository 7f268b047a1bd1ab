//! Any bytes as what was learnt of demand.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::learnt(data));
