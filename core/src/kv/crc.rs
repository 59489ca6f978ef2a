//! The checksum of what a store keeps: CRC-32, as RFC 1952 has it (section 8).
//!
//! By one byte at a time, and so with one table: the tables for many at a time are 16 KB that no compression makes less,
//! a twentieth of a module.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

static CRC32: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// A checksum of bytes that come in parts.
pub(crate) fn digest() -> Digest<'static, u32, Table<1>> {
    CRC32.digest()
}

/// The checksum of these bytes.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    CRC32.checksum(bytes)
}
