//! Phi accrual against cases that others computed.

use keiko_core::phi::Window;
use serde_json::Value;

/// By how much a phi may differ.
const DIFFERENCE_MAX: f64 = 1e-6;

#[test]
fn phi_is_exact() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../data/phi_accrual.json")).expect("JSON");
    assert!(!cases.is_empty());
    for (number, case) in cases.iter().enumerate() {
        let ms = |value: &Value| value.as_f64().expect("a number") * 1000.0;
        let mut window = Window::new(ms(&case["min_std_s"]));
        let history = case["history_s"].as_array().expect("a list");
        history.iter().for_each(|interval| window.push(ms(interval)));
        let got = window.phi(ms(&case["elapsed_s"]));
        let expect = case["phi_exact"].as_f64().expect("a number");
        assert!((got - expect).abs() < DIFFERENCE_MAX, "case {number}: {got}, not {expect}");
    }
}
