//! Any text as a size, an amount of CPU, a time, a CPU list, a device or a name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::quantities(data));
