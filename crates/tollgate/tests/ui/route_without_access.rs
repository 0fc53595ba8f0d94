//! A route that does not say what it demands is not open: it is not there.

use tollgate::Gate;

fn app(gate: &Gate) {
    let _ = gate.routes::<()>().get("/iocs", async || "[]");
}

fn main() {}
