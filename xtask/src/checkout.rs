//! Where things are: the checkout, the build folder, the peers.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folders that every verb works with.
pub(crate) struct Checkout {
    /// The top of the source tree.
    pub(crate) root: PathBuf,
    /// The one folder of all builds.
    pub(crate) target: PathBuf,
}

impl Checkout {
    /// The checkout that this tool was built from, and the build folder that `x` chose.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in a folder of the checkout")?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => cache_home()?.join("keiko/target"),
        };
        Ok(Self { root, target })
    }

    /// Where cargo puts the programs.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// Where the real peers are installed; their commands are in `bin/`.
    pub(crate) fn peers(&self) -> PathBuf {
        self.target.join("peers")
    }
}

fn cache_home() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither HOME nor CARGO_TARGET_DIR is set")?;
    Ok(Path::new(&home).join(".cache"))
}
