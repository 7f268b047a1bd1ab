//! Any line as a request, a reply or a record.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::series(data));
