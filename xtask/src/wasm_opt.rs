//! Makes modules and components of Wasm small.

use crate::run::{Output, Result, command, failed, scratch};
use crate::tools;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Command;

/// The npm package that has the program.
const PACKAGE: &str = "xtask/wasm-opt";

/// For size, with what rustc and wasm-bindgen make use of, and nothing newer: hosts may not know it yet. What LLVM did
/// not inline stays apart, and functions lie by their names, so that like comes by like: gzip makes 4 % less of it.
const OPTIONS: [&str; 13] = [
    "-Os",
    "--one-caller-inline-max-function-size",
    "20",
    "--reorder-functions-by-name",
    "--strip-debug",
    "--strip-producers",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// `wasm-opt` with all that it is told, but for which module and `--output`.
pub(crate) fn program(output: &Output) -> Result<Command> {
    let folder = tools::npm(PACKAGE, output)?;
    let mut program = command(folder.join("node_modules/.bin/wasm-opt"));
    program.args(OPTIONS);
    Ok(program)
}

/// What [`program`] is.
pub(crate) fn hash(hasher: &mut DefaultHasher) {
    (OPTIONS, include_bytes!("../wasm-opt/package-lock.json")).hash(hasher);
}

/// Makes a small module, or a component around one, of what cargo built, unless it was made of the very same already.
pub(crate) fn make(built: &Path, made: &Path, output: &Output) -> Result {
    let mut program = program(output)?;
    let bytes = fs::read(built).map_err(|error| failed("read", built, error))?;
    let stamp = made.with_extension("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|was| stamped(&bytes, made).is_ok_and(|is| was == is)) {
        return Ok(());
    }
    let making = scratch()?.join(format!("{}.wasm", std::process::id()));
    let mut optimize = |module: &[u8]| {
        fs::write(&making, module).map_err(|error| failed("write", &making, error))?;
        output.run(program.arg(&making).arg("--output").arg(&making))?;
        fs::read(&making).map_err(|error| failed("read", &making, error))
    };
    let small = rebuilt(&bytes, &mut optimize).and_then(|small| {
        fs::write(&making, small).map_err(|error| failed("write", &making, error))?;
        fs::create_dir_all(made.parent().unwrap_or(made)).map_err(|error| failed("make", made, error))?;
        fs::rename(&making, made).map_err(|error| failed("make", made, error))
    });
    let _ = fs::remove_file(&making);
    small?;
    fs::write(&stamp, stamped(&bytes, made)?).map_err(|error| failed("write", &stamp, error))
}

/// A digest of what something is made from, and of what was made.
fn stamped(built: &[u8], made: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    hash(&mut hasher);
    built.hash(&mut hasher);
    fs::read(made).map_err(|error| failed("read", made, error))?.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// What a file of Wasm begins with.
const MAGIC: &[u8] = b"\0asm";
/// What follows if it is a component.
const COMPONENT: &[u8] = b"\x0d\0\x01\0";
/// Sections of a component: what only tools read, and a module.
const CUSTOM: u8 = 0;
const MODULE: u8 = 1;

/// A module, or a component with the largest of its modules, as `optimize` makes it. Names are left out.
fn rebuilt(wasm: &[u8], optimize: &mut dyn FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let Some(mut rest) = wasm.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(COMPONENT)) else {
        return optimize(wasm);
    };
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let (id, section, behind) = section(rest).ok_or("the component is cut off")?;
        sections.push((id, section));
        rest = behind;
    }
    let modules = sections.iter().filter(|(id, _)| *id == MODULE).map(|(_, module)| module.len());
    let largest = modules.max().ok_or("the component has no module")?;
    let mut out = [MAGIC, COMPONENT].concat();
    for (id, section) in sections.into_iter().filter(|(id, _)| *id != CUSTOM) {
        out.push(id);
        if id == MODULE && section.len() == largest {
            put(&optimize(section)?, &mut out)?;
        } else {
            put(section, &mut out)?;
        }
    }
    Ok(out)
}

/// A section's id, what is in it, and what is behind it.
fn section(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (id, mut rest) = bytes.split_first()?;
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (section, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            return Some((*id, section, behind));
        }
    }
    None
}

/// Appends bytes behind their number.
fn put(bytes: &[u8], out: &mut Vec<u8>) -> Result {
    let mut left = u32::try_from(bytes.len()).map_err(|_| "a section is too long")?;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(bytes);
    Ok(())
}

/// How many bytes a file has when it is gzipped.
pub(crate) fn gzipped(path: &Path) -> Result<usize> {
    let packed = command("gzip").arg("-9c").arg(path).output();
    let packed = packed.map_err(|error| failed("gzip", path, error))?;
    if packed.status.success() { Ok(packed.stdout.len()) } else { Err(failed("gzip", path, packed.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_module_of_a_component_is_made_small_and_names_are_left_out() {
        let long = [7; 300];
        let component = |modules: [&[u8]; 2], name: &[u8]| {
            let mut out = [MAGIC, COMPONENT].concat();
            for (id, section) in [(CUSTOM, name), (MODULE, modules[0]), (7, b"types"), (MODULE, modules[1])] {
                if !section.is_empty() {
                    out.push(id);
                    put(section, &mut out).unwrap();
                }
            }
            out
        };
        let mut half = |module: &[u8]| Ok(module[module.len() / 2..].to_vec());
        let built = component([b"shim", &long], b"name");
        assert_eq!(rebuilt(&built, &mut half), Ok(component([b"shim", &long[..150]], b"")));
        assert_eq!(rebuilt(b"\0asm\x01\0\0\0", &mut half), Ok(b"\x01\0\0\0".to_vec()));
        for end in 9..=built.len() {
            // Where a section ends it could be a whole component, if there was a module.
            let is_whole = [20, 27, built.len()].contains(&end);
            assert_eq!(rebuilt(&built[..end], &mut half).is_ok(), is_whole, "{end}");
        }
    }
}
