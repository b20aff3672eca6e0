//! One idea per file: a cap on what one file may hold. (A function's cap is clippy's.)

use super::Finding;
use super::tree::Tree;

const SOURCE_LINES_MAX: usize = 700;
const TEST_LINES_MAX: usize = 1000;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let too_long = |(path, text): (&str, &str)| {
        let max = if is_test(path) { TEST_LINES_MAX } else { SOURCE_LINES_MAX };
        let lines = text.lines().count();
        let message =
            format!("{lines} lines, of at most {max}: split it where the second idea begins");
        (lines > max).then(|| Finding::new(path, 0, message))
    };
    tree.with_extension("rs").filter_map(too_long).collect()
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let check_one = |path: &str, lines: usize, expect: bool| {
            let found = !check(&Tree::of(&[(path, &"\n".repeat(lines))])).is_empty();
            assert_eq!(found, expect, "{path} of {lines} lines");
        };
        check_one("core/src/a.rs", 700, false);
        check_one("core/src/a.rs", 701, true);
        check_one("core/src/a/tests.rs", 1000, false);
        check_one("tests/src/a.rs", 1001, true);
        check_one("docs/a.md", 5000, false);
    }
}
