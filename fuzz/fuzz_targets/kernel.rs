//! Any bytes as files of /proc, /sys and the cgroup tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provost::fuzzing::kernel(data));
