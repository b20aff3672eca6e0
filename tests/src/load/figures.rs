//! Figures: one value with its unit and what it should be.

use serde_json::json;
use std::time::Duration;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing is asked of it; it explains others.
    None,
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// One figure, or a fact about the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which part measured it.
    pub part: &'static str,
    /// What was measured.
    pub what: String,
    /// How much; facts have none.
    pub value: Option<f64>,
    /// Of the value; of a fact, the fact itself.
    pub unit: String,
    /// What it should be.
    pub goal: Goal,
}

impl Point {
    /// A figure.
    pub fn new(part: &'static str, what: impl Into<String>, value: f64, unit: &str) -> Self {
        let (what, unit) = (what.into(), unit.to_owned());
        Self { part, what, value: Some(value), unit, goal: Goal::None }
    }

    /// A fact.
    pub fn fact(what: &str, text: impl Into<String>) -> Self {
        Self {
            part: "machine",
            what: what.to_owned(),
            value: None,
            unit: text.into(),
            goal: Goal::None,
        }
    }

    /// With what it should be.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    /// True unless a goal is missed.
    pub fn is_met(&self) -> bool {
        match (self.goal, self.value) {
            (Goal::AtMost(most), Some(value)) => value <= most,
            (Goal::AtLeast(least), Some(value)) => value >= least,
            _ => true,
        }
    }

    /// One line of JSON.
    pub fn json(&self) -> String {
        let mut line = json!({"bench": "registry", "part": self.part, "what": self.what});
        match self.value {
            Some(value) => {
                line["value"] = json!(value);
                line["unit"] = json!(self.unit);
            }
            None => line["text"] = json!(self.unit),
        }
        match self.goal {
            Goal::None => {}
            Goal::AtMost(most) => line["at_most"] = json!(most),
            Goal::AtLeast(least) => line["at_least"] = json!(least),
        }
        if self.goal != Goal::None {
            line["met"] = json!(self.is_met());
        }
        line.to_string()
    }

    /// One line for people.
    pub fn row(&self) -> String {
        let Some(value) = self.value else { return format!("{:<44} {}", self.what, self.unit) };
        let goal = match self.goal {
            Goal::None => String::new(),
            Goal::AtMost(most) => format!("at most {most}"),
            Goal::AtLeast(least) => format!("at least {least}"),
        };
        let missed = if self.is_met() { "" } else { "  missed" };
        let row = format!("{:<44} {value:>12.3} {:<8} {goal}{missed}", self.what, self.unit);
        row.trim_end().to_owned()
    }
}

/// Times of the same thing, many times.
#[derive(Clone, Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(super) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred stay below, in milliseconds.
    pub(super) fn percentile_ms(&mut self, of_hundred: f64) -> f64 {
        self.0.sort_unstable();
        let Some(last) = self.0.len().checked_sub(1) else { return 0.0 };
        let at = (of_hundred / 100.0 * last as f64).round() as usize;
        self.0[at.min(last)].as_secs_f64() * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_met_or_missed() {
        let check = |value, goal, met| {
            assert_eq!(Point::new("x", "y", value, "ms").goal(goal).is_met(), met, "{goal:?}");
        };
        check(1.0, Goal::AtMost(1.0), true);
        check(1.1, Goal::AtMost(1.0), false);
        check(1.0, Goal::AtLeast(1.0), true);
        check(0.9, Goal::AtLeast(1.0), false);
        check(0.9, Goal::None, true);
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut times = Times::default();
        assert_eq!(times.percentile_ms(50.0), 0.0);
        for ms in (1..=101).rev() {
            times.push(Duration::from_millis(ms));
        }
        assert_eq!(times.percentile_ms(50.0), 51.0);
        assert_eq!(times.percentile_ms(99.0), 100.0);
        assert_eq!(times.percentile_ms(100.0), 101.0);
    }

    #[test]
    fn a_line_of_json_says_whether_the_goal_is_met() {
        let point = Point::new("lookup", "find p99", 0.5, "ms").goal(Goal::AtMost(5.0));
        let expect = r#"{"bench":"registry","part":"lookup","what":"find p99","value":0.5,"unit":"ms","at_most":5.0,"met":true}"#;
        assert_eq!(point.json(), expect);
    }
}
