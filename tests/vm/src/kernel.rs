//! Takes the ELF image out of a bzImage, once, so that qemu boots it directly (PVH) and the slow
//! emulated decompression falls away.

use crate::{Outcome, failed};
use std::io::Write;
use std::process::{Command, Stdio};

const ELF: &[u8] = b"\x7fELF";

/// Compressed streams that Debian kernels use: magic bytes and the program that reads them.
const STREAMS: &[(&[u8], &str)] = &[
    (&[0x02, 0x21, 0x4c, 0x18], "lz4"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz"),
    (&[0x1f, 0x8b, 0x08], "gzip"),
];

/// The uncompressed kernel inside `image`.
///
/// # Errors
/// When no stream in the image decompresses to an ELF file.
pub fn elf_image(image: &[u8]) -> Outcome<Vec<u8>> {
    elf_image_with(image, decompress)
}

/// As [`elf_image`], with the decompressor as an argument (program, stream) so that it can be tested.
///
/// # Errors
/// When no stream in the image decompresses to an ELF file.
pub fn elf_image_with(
    image: &[u8],
    decompress: impl Fn(&str, &[u8]) -> Outcome<Vec<u8>>,
) -> Outcome<Vec<u8>> {
    if image.starts_with(ELF) {
        return Ok(image.to_vec());
    }
    // The magic may occur by chance in the boot code, so every place is tried in turn.
    for (at, program) in candidates(image) {
        let stream = image.get(at..).unwrap_or_default();
        if let Ok(plain) = decompress(program, stream)
            && plain.starts_with(ELF)
        {
            return Ok(plain);
        }
    }
    Err("no ELF image in the kernel: neither lz4, zstd, xz nor gzip gave one".into())
}

fn candidates(image: &[u8]) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (magic, program) in STREAMS {
        let places = image.windows(magic.len()).enumerate();
        found.extend(places.filter(|(_, window)| window == magic).map(|(at, _)| (at, *program)));
    }
    found.sort_unstable();
    found
}

/// Feeds `stream` to `program -dc`. What follows the stream makes the programs complain after they
/// have written everything, so the output decides, not the exit code.
///
/// # Errors
/// When the program cannot be started or writes nothing.
pub fn decompress(program: &str, stream: &[u8]) -> Outcome<Vec<u8>> {
    let mut child = Command::new(program)
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed(format!("start {program}")))?;
    let mut input = child.stdin.take().ok_or("no pipe to the decompressor")?;
    let plain = std::thread::scope(|scope| {
        // A program that stops early closes the pipe: that is no error here.
        let writer = scope.spawn(move || input.write_all(stream).is_ok());
        let output = child.wait_with_output();
        let _wrote_all = writer.join();
        output
    })
    .map_err(failed(format!("read from {program}")))?
    .stdout;
    if plain.is_empty() { Err(format!("{program} gave nothing")) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for a decompressor: a stream is its magic, a length byte and the plain bytes.
    fn toy(program: &str, stream: &[u8]) -> Outcome<Vec<u8>> {
        let (magic, _) = STREAMS.iter().find(|(_, name)| *name == program).unwrap();
        let length = usize::from(stream[magic.len()]);
        let plain = stream.get(magic.len() + 1..magic.len() + 1 + length);
        plain.map(<[u8]>::to_vec).ok_or_else(|| "short".into())
    }

    fn stream(program: &str, plain: &[u8]) -> Vec<u8> {
        let (magic, _) = STREAMS.iter().find(|(_, name)| *name == program).unwrap();
        let length = u8::try_from(plain.len()).unwrap();
        [magic, [length].as_slice(), plain].concat()
    }

    #[test]
    fn every_compression_is_found_behind_boot_code() {
        for (_, program) in STREAMS {
            let image = [b"MZ boot code".as_slice(), &stream(program, b"\x7fELF kernel")].concat();
            let image = [image.as_slice(), b"trailing setup"].concat();
            assert_eq!(elf_image_with(&image, toy).unwrap(), b"\x7fELF kernel", "{program}");
        }
    }

    #[test]
    fn a_chance_magic_is_passed_over() {
        let image = [stream("gzip", b"not a kernel"), stream("lz4", b"\x7fELF!")].concat();
        assert_eq!(elf_image_with(&image, toy).unwrap(), b"\x7fELF!");
    }

    #[test]
    fn an_elf_file_is_taken_as_it_is() {
        assert_eq!(elf_image_with(b"\x7fELF raw", toy).unwrap(), b"\x7fELF raw");
    }

    #[test]
    fn no_stream_is_an_error() {
        assert!(elf_image_with(b"MZ nothing here", toy).is_err());
        assert!(elf_image_with(&stream("xz", b"still not"), toy).is_err());
    }
}
