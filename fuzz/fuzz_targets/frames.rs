//! Any datagram of the process connector and the gate's keeper.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::frames(data));
