//! The programs under test, in a folder where they have their real names.
//!
//! `keikoctl dev` looks for `keikod` beside itself, so both lie there as hard links. They are this
//! package's own binaries, which cargo builds for every test run: never a stale `keikod`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const LINKS: [(&str, &str); 4] = [
    ("keikod-under-test", "keikod"),
    ("keikoctl-under-test", "keikoctl"),
    ("fake-mcp", "fake-mcp"),
    ("ends-with-parent", "ends-with-parent"),
];

/// The folder, for `PATH`.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let debug = debug();
        // Of this process: another one may run a newer build meanwhile.
        let folder = debug.join(format!("under-test/{}", std::process::id()));
        sweep(&debug.join("under-test"));
        fs::create_dir_all(&folder).expect("a folder beside the programs");
        for (from, to) in LINKS {
            let target = folder.join(to);
            let _ = fs::remove_file(&target);
            fs::hard_link(debug.join(from), &target)
                .unwrap_or_else(|error| panic!("{from}: {error}; cargo builds it with the tests"));
        }
        folder
    })
}

/// One of them.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// The build folder: this program lies in `debug/deps`.
pub fn target() -> PathBuf {
    debug().parent().expect("debug lies in the build folder").to_path_buf()
}

fn debug() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let deps = own.parent().expect("a program lies in a folder");
    deps.parent().expect("a test lies in debug/deps").to_path_buf()
}

/// Removes what ended test processes left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !Path::new("/proc").join(&name).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
