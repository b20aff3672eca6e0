//! Gathers `docs/errors/KEIKO-nnnn.md`, so that `explain` prints them without a file at hand.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let folder = variable("CARGO_MANIFEST_DIR").join("../docs/errors");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../docs/errors");
    let mut pages = pages(&folder)?;
    pages.sort();
    let mut text = String::from("pub(crate) const PAGES: &[(u32, &str)] = &[\n");
    for (number, page) in pages {
        let _ = writeln!(text, "    ({number}, {page:?}),");
    }
    text.push_str("];\n");
    fs::write(variable("OUT_DIR").join("pages.rs"), text)
}

/// Number and text of every page; none where there is no folder.
fn pages(folder: &Path) -> io::Result<Vec<(u32, String)>> {
    let mut pages = Vec::new();
    if !folder.is_dir() {
        return Ok(pages);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix("KEIKO-").and_then(|rest| rest.strip_suffix(".md"));
        if let Some(Ok(number)) = number.map(str::parse) {
            pages.push((number, fs::read_to_string(&path)?));
        }
    }
    Ok(pages)
}
