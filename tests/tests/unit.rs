//! The systemd unit, as systemd itself judges it.

use keiko_tests::place::Place;
use keiko_tests::{ctl, programs, report};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The worst exposure that passes, in tenths: systemd counts from 0 to 10, and calls 3 OK.
const EXPOSURE_MAX: u32 = 30;

/// The unit with the path of the program that is there.
fn unit(place: &Place) -> PathBuf {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/keikod.service");
    let text = std::fs::read_to_string(deploy).expect("the unit");
    let program = programs::path("keikod").display().to_string();
    let text = text.replace("/usr/bin/keikod", &program);
    assert!(text.contains(&program), "the unit starts another program");
    let path = place.join("keikod.service");
    std::fs::write(&path, text).expect("a file");
    path
}

fn analyze(test: &str, words: &[&str]) -> Option<ctl::Output> {
    let place = Place::new();
    let unit = unit(&place);
    let mut command = Command::new("systemd-analyze");
    command.args(words).arg(unit).env("SYSTEMD_PAGER", "");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        report::skip(test, "systemd-analyze is not installed");
        return None;
    }
    Some(ctl::run(command, &format!("systemd-analyze {}", words.join(" ")), ""))
}

#[test]
fn the_unit_is_sound() {
    if let Some(output) = analyze("unit::the_unit_is_sound", &["verify", "--man=no"]) {
        let output = output.ok();
        assert!(!output.stderr.contains("keikod.service"), "{output}");
    }
}

#[test]
fn the_unit_exposes_little() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let words = ["security", "--offline=true", "--no-pager", &threshold];
    if let Some(output) = analyze("unit::the_unit_exposes_little", &words) {
        output.ok();
    }
}
