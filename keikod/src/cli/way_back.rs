//! The words of what runs without a daemon, on a backup or on stopped nodes.

use super::Output;
use crate::moment;
use crate::settings::values;
use clap::Args;
use keiko_proto::v1::{At, at::Point};
use std::path::PathBuf;

/// What `verify` is given.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A backup to check in place of a data folder: a file, a folder, or s3://BUCKET/PREFIX
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which backup of a folder or bucket [default: the newest]
    #[arg(long, value_name = "NAME", requires = "file")]
    pub backup: Option<String>,
    /// Folder of the node's data; no daemon may run on it
    #[arg(long, value_name = "D", env = "KEIKOD_DATA_DIR", required_unless_present = "file")]
    pub data_dir: Option<PathBuf>,
    /// Where a backup is unpacked, to be removed again [default: the temporary folder]
    #[arg(long, value_name = "FOLDER", requires = "file")]
    pub scratch: Option<PathBuf>,
    /// How the report looks
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// What `restore` is given.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The backup, as `keikoctl cluster backup` made it: a file, a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// Which backup of a folder or bucket [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub backup: Option<String>,
    /// Folder of the new node's data; it must be empty
    #[arg(long, value_name = "D", env = "KEIKOD_DATA_DIR")]
    pub data_dir: PathBuf,
    /// Take what is declared further back: a revision, or a time as in 2026-11-20T08:15:00Z
    #[arg(long, value_name = "REVISION|TIME", value_parser = point)]
    pub to: Option<At>,
    /// Name of the node in its new cluster [default: the machine's name]
    #[arg(long, value_name = "NAME", env = "KEIKOD_NODE_NAME", value_parser = values::node_name)]
    pub node_name: Option<String>,
    /// How the report looks
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// What `recover` is given.
#[derive(Clone, Debug, Args)]
pub struct RecoverArgs {
    /// Folder of a stopped node's data; once for each one that is left
    #[arg(long, value_name = "D", required = true)]
    pub data_dir: Vec<PathBuf>,
    /// Show what there is and what would happen, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub plan: bool,
    /// Do not ask; with --confirm
    #[arg(long, requires = "confirm")]
    pub yes: bool,
    /// The id of the cluster whose lost members are given up
    #[arg(long, value_name = "ID", requires = "yes")]
    pub confirm: Option<String>,
    /// How the report looks
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// What `repair` is given beside what a node is told.
#[derive(Clone, Debug, Args)]
pub struct RepairArgs {
    /// Folder of another stopped node's data; once for each other voter, all of them stopped
    #[arg(long, value_name = "D")]
    pub with: Vec<PathBuf>,
    /// How the report looks
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// A revision is a number, a time is none.
fn point(text: &str) -> Result<At, String> {
    let point = match text.parse::<u64>() {
        Ok(revision) => Some(Point::Revision(revision)),
        Err(_) => moment::parse(text).map(Point::UnixMs),
    };
    match point {
        Some(point) => Ok(At { point: Some(point) }),
        None => Err("expected a revision or a time such as 2026-11-20T08:15:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_times() {
        for (text, expect) in [
            ("0", Some(Point::Revision(0))),
            ("4711", Some(Point::Revision(4711))),
            ("1970-01-01T00:00:01Z", Some(Point::UnixMs(1000))),
            ("1970-01-01T01:00:01+01:00", Some(Point::UnixMs(1000))),
            ("", None),
            ("-1", None),
            ("yesterday", None),
        ] {
            assert_eq!(point(text).ok().and_then(|at| at.point), expect, "{text:?}");
        }
    }
}
