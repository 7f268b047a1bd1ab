//! Any text as a knob's file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::knobs(data));
