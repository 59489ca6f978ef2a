#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| yonder_fuzz::run("grip", input));
