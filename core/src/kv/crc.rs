//! The checksum of what a store keeps: CRC-32, as RFC 1952 has it (section 8).
//!
//! By one byte at a time, and so with one table: the tables for many at a time are 16 KB that no compression makes less,
//! a twentieth of a module.

static TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "the index is one of the table's")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// A checksum of bytes that come in parts.
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let crc = bytes.iter().fold(self.0, |crc, byte| {
            let [lowest, ..] = (crc ^ u32::from(*byte)).to_le_bytes();
            TABLE.get(usize::from(lowest)).map_or(0, |entry| entry ^ crc >> 8)
        });
        self.0 = crc;
    }

    pub(crate) fn finalize(self) -> u32 {
        !self.0
    }
}

/// The checksum of these bytes.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_that_everybody_has() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(crc32(&all), 0x2905_8c73);
        let mut parts = Crc::new();
        all.chunks(7).for_each(|part| parts.update(part));
        assert_eq!(parts.finalize(), crc32(&all));
    }
}
