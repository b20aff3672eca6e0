//! `keikod check`: everything that can be known before the daemon starts, without a trace.
//!
//! Looks at files, accounts and ports and changes none: a port is taken for a moment and given
//! back. Where a daemon holds the data folder its ports are not tried, as they are surely taken.

use super::Settings;
use super::origin::{Origin, Valued};
use crate::lifecycle::{Holder, addresses, folder};
use crate::net::socket::{self, PATH_BYTES_MAX};
use keiko_core::refusal::{Code, Refusal};
use nix::unistd::{AccessFlags, User, access};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

impl Settings {
    /// What would keep the daemon from starting or from doing what it was told; empty if nothing.
    pub fn check(&self) -> Vec<Refusal> {
        let mut found = Vec::new();
        let holder = match self.data_dir.origin {
            Origin::Default => None,
            _ => folder::holder(&self.data_dir),
        };
        if self.data_dir.origin != Origin::Default {
            found.extend(folder::check(&self.data_dir).err());
        }
        self.check_socket(&mut found);
        self.check_exec(&mut found);
        self.check_credentials(&mut found);
        for path in &self.trusted_keys.value {
            found.extend(check_key(&self.trusted_keys, path));
        }
        if holder.is_none() {
            found.extend(check_port("--listen", &self.api));
            found.extend(check_port("--listen-peer", &self.peer));
            found.extend(check_port("--metrics-listen", &self.metrics));
        }
        found
    }

    /// The daemon that runs on the data folder now, if one does.
    pub fn holder(&self) -> Option<Holder> {
        folder::holder(&self.data_dir)
    }

    fn check_socket(&self, found: &mut Vec<Refusal>) {
        let path = &self.socket_path;
        let length = path.as_os_str().len();
        if length > PATH_BYTES_MAX {
            found.push(
                Refusal::new(Code::SocketPath, format!("socket path has {length} bytes"))
                    .cause(format!("{}: the limit is {PATH_BYTES_MAX}", path.display()))
                    .hint("give a shorter one with --socket PATH"),
            );
        }
        let outside = path.parent().filter(|folder| *folder != self.data_dir.as_path());
        if let Some(folder) = outside.filter(|folder| !writable(folder)) {
            found.push(
                Refusal::new(Code::SocketPath, format!("{} can't be made", path.display()))
                    .cause(format!("{} is not a folder that can be written", folder.display()))
                    .hint("make the folder, or give another path with --socket PATH"),
            );
        }
        let Some(group) = &self.socket_group else { return };
        if socket::group_named(group).is_err() {
            found.push(at(group, format!("group {:?} does not exist", group.value)));
        }
        // A folder that is neither there nor the data folder was named above.
        if outside.is_none_or(Path::exists) {
            found.extend(socket::check_way(path).err());
        }
    }

    fn check_exec(&self, found: &mut Vec<Refusal>) {
        if let Some(user) = &self.live.exec_user
            && !matches!(User::from_name(user), Ok(Some(_)))
        {
            found.push(at(user, format!("user {:?} does not exist", user.value)));
        }
        // A line that allows a file that is not there allows whoever puts it there.
        let allow = &self.live.exec_allow;
        for line in &allow.value {
            let files = line.iter().filter(|word| word.starts_with('/'));
            for missing in files.filter(|word| !Path::new(word).exists()) {
                found
                    .push(at(allow, format!("[exec] allow names {missing:?}, which is not there")));
            }
        }
    }

    fn check_credentials(&self, found: &mut Vec<Refusal>) {
        let dir = &self.live.credentials_dir;
        if dir.origin != Origin::Default && !dir.is_dir() {
            found.push(at(dir, format!("{} is not a folder", dir.display())));
        }
        for (name, to) in &self.live.credentials_to {
            if !dir.join(name).is_file() {
                found.push(
                    Refusal::new(
                        Code::CredentialMissing,
                        format!("{}: credential {name:?} is not on this node", to.origin),
                    )
                    .hint(format!("put it into {} with mode 0600", dir.join(name).display())),
                );
            }
        }
    }
}

fn check_key(keys: &Valued<Vec<PathBuf>>, path: &Path) -> Option<Refusal> {
    let refused = |cause: String| {
        Some(at(keys, format!("trusted key {} is not usable", path.display())).cause(cause))
    };
    match std::fs::read_to_string(path) {
        Ok(text) if text.contains("-----BEGIN PUBLIC KEY-----") => None,
        Ok(_) => refused("it holds no public key in PEM".to_owned()),
        Err(error) => refused(error.to_string()),
    }
}

fn check_port(flag: &'static str, address: &Valued<SocketAddr>) -> Option<Refusal> {
    addresses::listen(flag, address.value).err()
}

fn writable(folder: &Path) -> bool {
    folder.is_dir() && access(folder, AccessFlags::W_OK).is_ok()
}

fn at<T>(place: &Valued<T>, message: String) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("{}: {message}", place.origin))
}
